package decisionlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Run makes events and writes them until ctx ends, and then what waits still, for ten seconds at most.
// To be called once. An error says that events were lost because a sink took them no more; only when it
// is the console, one goroutine is left behind that waits for it.
func (l *Log) Run(ctx context.Context) error {
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	written := make(chan struct{})
	go func() {
		defer close(written)
		l.write(ctx, work)
	}()
	stop, uploaded := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(uploaded)
		if l.upload != nil {
			l.upload.run(work, stop)
		}
	}()

	<-ctx.Done()
	err := l.await(written, "events are written")
	close(stop)
	err = errors.Join(err, l.await(uploaded, "events are uploaded"))
	abandon()
	<-uploaded
	if l.file != nil {
		err = errors.Join(err, l.closeFile())
	}
	if left := len(l.queue); left > 0 {
		l.drop(DroppedShutdown, left, errStopped)
	}
	return err
}

var errStopped = errors.New("the sidecar stopped before")

func (l *Log) await(done <-chan struct{}, what string) error {
	grace := time.NewTimer(drainTimeout)
	defer grace.Stop()
	select {
	case <-done:
		return nil
	case <-grace.C:
		return fmt.Errorf("decision log: waited %s in vain until %s", drainTimeout, what)
	}
}

func (l *Log) closeFile() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("decision log: close %s: %w", l.cfg.File, err)
	}
	return nil
}

// write turns records into events, in their order, until ctx ends and the queue is empty, or work ends.
func (l *Log) write(ctx, work context.Context) {
	for work.Err() == nil {
		select {
		case r := <-l.queue:
			l.writeOne(work, r)
			continue
		default:
		}
		select {
		case r := <-l.queue:
			l.writeOne(work, r)
		case <-ctx.Done():
			if len(l.queue) == 0 {
				return
			}
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
