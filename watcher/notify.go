package watcher

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// notifier is the boundary to the kernel's events: fsnotify, or a test double that fails on demand.
type notifier interface {
	Add(dir string) error
	Remove(dir string) error
	Events() <-chan fsnotify.Event
	Errors() <-chan error
	Close() error
}

type fsnotifier struct{ *fsnotify.Watcher }

func (n fsnotifier) Events() <-chan fsnotify.Event { return n.Watcher.Events }
func (n fsnotifier) Errors() <-chan error          { return n.Watcher.Errors }

func openFSNotify() (notifier, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, limitError(err, "")
	}
	return fsnotifier{w}, nil
}

// isLimit reports whether err is a system limit, which the next directory would meet too.
func isLimit(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// limitError adds to err which system limit was reached and how to raise it.
func limitError(err error, dir string) error {
	switch {
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("limit of inotify instances or open files reached: "+
			"raise fs.inotify.max_user_instances (sysctl) or the process's open file limit: %w", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("inotify watch limit reached at %s: raise fs.inotify.max_user_watches (sysctl): %w", dir, err)
	case dir != "" && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("watch %s: %w", dir, err)
	default:
		return err
	}
}

// feed drains a notifier into memory without waiting for the loop, because the kernel drops events
// when its queue is full. Events for one name merge.
type feed struct {
	wake chan struct{} // capacity 1; signalled when there is something to drain

	mu     sync.Mutex // guards the fields below
	events map[string]fsnotify.Op
	errs   []error
	lost   uint64
}

func newFeed() *feed {
	return &feed{wake: make(chan struct{}, 1), events: map[string]fsnotify.Op{}}
}

// run reads until the notifier is closed, which closes both channels.
func (f *feed) run(n notifier) {
	events, errs := n.Events(), n.Errors()
	for events != nil || errs != nil {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			f.add(e)
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			f.report(err)
		}
	}
}

func (f *feed) add(e fsnotify.Event) {
	f.mu.Lock()
	f.events[e.Name] |= e.Op
	f.mu.Unlock()
	f.signal()
}

func (f *feed) report(err error) {
	const maxErrors = 8
	f.mu.Lock()
	f.lost++
	if len(f.errs) < maxErrors {
		f.errs = append(f.errs, err)
	}
	f.mu.Unlock()
	f.signal()
}

func (f *feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// drain returns and clears what has arrived since the last call.
func (f *feed) drain() (events map[string]fsnotify.Op, errs []error, lost uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	events, errs, lost = f.events, f.errs, f.lost
	f.events, f.errs, f.lost = map[string]fsnotify.Op{}, nil, 0
	return events, errs, lost
}
