package decisionlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Run writes events until ctx ends. Then it has five seconds to write the waiting events, and another five
// to upload them; what remains is dropped and counted. Call it once. If the console blocks, one goroutine
// remains, since its write cannot be canceled. The error is that of closing the file.
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
	if !finished(written, abandonWriting) {
		left = 1 // the one being written
	}
	if left += len(l.queue); left > 0 {
		l.drop(DroppedShutdown, left, errStopped)
	}
	close(stop)
	finished(uploaded, abandonUploading)
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			return fmt.Errorf("decision log: close %s: %w", l.cfg.File, err)
		}
	}
	return nil
}

var errStopped = errors.New("the sidecar stopped before they were written")

// finished waits for done, calls abandon after drainTimeout, and reports whether done was closed in time.
func finished(done <-chan struct{}, abandon func()) bool {
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

// write turns records into events, in order, until ctx ends and the queue is empty, or writing ends.
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
		l.count(SinkFile, DroppedFile, err)
	}
	if l.cfg.Console != nil {
		_, err := l.cfg.Console.Write(append([]byte(consoleType), line[1:]...))
		l.count(SinkConsole, DroppedConsole, err)
	}
}

// consoleType begins an event on the console, which distinguishes it from other lines, as in OPA.
const consoleType = `{"type":"openpolicyagent.org/decision_logs",`

// count counts an event as written to sink, or as dropped for reason if err is not nil.
func (l *Log) count(sink, reason string, err error) {
	if err != nil {
		l.drop(reason, 1, err)
		return
	}
	l.counts.write(sink, 1)
}
