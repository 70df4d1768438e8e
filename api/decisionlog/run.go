package decisionlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Run makes events and writes them until ctx ends, and then what waits still: for five seconds, and for
// the service as long again. What is left then is dropped and counted. To be called once. A console that
// takes nothing leaves one goroutine behind, since a write to it cannot be ended. The error is the file's.
func (l *Log) Run(ctx context.Context) error {
	writing, abandonWriting := context.WithCancel(context.WithoutCancel(ctx))
	uploading, abandonUploading := context.WithCancel(context.WithoutCancel(ctx))
	written, uploaded, stop := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		l.write(ctx, writing)
	}()
	go func() {
		defer close(uploaded)
		if l.upload != nil {
			l.upload.run(uploading, stop)
		}
	}()

	<-ctx.Done()
	left := 0
	if !ended(written, abandonWriting) {
		left = 1 // which it holds
	}
	if left += len(l.queue); left > 0 {
		l.drop(DroppedShutdown, left, errStopped)
	}
	close(stop)
	ended(uploaded, abandonUploading)
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			return fmt.Errorf("decision log: close %s: %w", l.cfg.File, err)
		}
	}
	return nil
}

var errStopped = errors.New("the sidecar had to end before they were written")

// ended reports whether a part ends, by itself in time or when it is told to give up.
func ended(done <-chan struct{}, abandon func()) bool {
	defer abandon()
	if within(drainTimeout, done) {
		return true
	}
	abandon()
	return within(abandonTimeout, done)
}

func within(d time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// write turns records into events, in their order, until ctx ends and the queue is empty, or writing ends.
func (l *Log) write(ctx, writing context.Context) {
	for writing.Err() == nil {
		select {
		case r := <-l.queue:
			l.writeOne(writing, r)
		case <-ctx.Done():
			if len(l.queue) == 0 {
				return
			}
			l.writeOne(writing, <-l.queue)
		}
	}
}

func (l *Log) writeOne(ctx context.Context, r *record) {
	l.queued.Add(-r.size)
	e, reason, err := l.event(ctx, r)
	if reason != "" {
		l.drop(reason, 1, err)
		return
	}
	line, err := json.Marshal(e)
	if err != nil {
		l.drop(DroppedEncoding, 1, err)
		return
	}
	if l.upload != nil {
		l.upload.add(line)
	}
	line = append(line, '\n')
	if l.file != nil {
		_, err := l.file.Write(line)
		l.took(SinkFile, DroppedFile, err)
	}
	if l.cfg.Console != nil {
		_, err := l.cfg.Console.Write(append([]byte(consoleType), line[1:]...))
		l.took(SinkConsole, DroppedConsole, err)
	}
}

// consoleType begins an event on a console, where it may stand among other lines, as OPA's do.
const consoleType = `{"type":"openpolicyagent.org/decision_logs",`

func (l *Log) took(sink, reason string, err error) {
	if err != nil {
		l.drop(reason, 1, err)
		return
	}
	l.wrote(sink, 1)
}
