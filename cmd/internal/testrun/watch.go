package testrun

import (
	"context"

	"defenseclaw/engine/source"
	"defenseclaw/watcher"
)

// Watch calls run at once, and again after each change of a policy or test file in dir, until ctx ends. An
// error is that of the watch; failed is what the last run returned.
func Watch(ctx context.Context, dir string, run func(context.Context) error) (failed, err error) {
	w, err := watcher.New(watcher.Config{Root: dir, Relevant: source.RelevantToTests})
	if err != nil {
		return nil, err
	}
	changes := make(chan watcher.Change)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, changes) }()
	for {
		select {
		case <-changes: // the first one arrives when the watch is set up
			failed = run(ctx)
		case err := <-ended:
			return failed, err
		}
	}
}
