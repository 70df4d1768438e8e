package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"defenseclaw/engine/source"
)

// errRemoved is wrapped while files that serve are missing and may come back: an editor or a copy that removes a
// file and writes it anew leaves such a gap, and a policy without its data may allow what it would deny.
var errRemoved = errors.New("files that serve are missing")

// missing says when each file of the generation that serves was first missed, by [source.File.Rel]. The map is
// never changed: an attempt that was given up may still read it.
type missing map[string]time.Time

// removalWait says how long an attempt waits for files that are missing.
type removalWait struct {
	since        missing
	module, data time.Duration
}

func (w *removalWait) forKind(k source.Kind) time.Duration {
	switch k {
	case source.KindData, source.KindOverlay:
		return w.data
	case source.KindTest:
		return 0 // no decision uses it
	default:
		return w.module
	}
}

// awaitedError is the error of an attempt that found files missing, and not for long.
type awaitedError struct {
	files []string
	left  time.Duration // until the last of them counts as gone
}

// Error names the files and not the time, so that two attempts that miss the same files have one text.
func (e *awaitedError) Error() string {
	return fmt.Sprintf("%s: %s", errRemoved, firstOf(e.files, maxNamed))
}

func (e *awaitedError) Unwrap() error { return errRemoved }

// awaits reports for how long the attempt should be repeated before the files that it missed count as gone; 0
// where it missed none. r may be nil.
func (r *Refused) awaits() time.Duration {
	var awaited *awaitedError
	if r != nil && errors.As(r.Err, &awaited) {
		return awaited.left
	}
	return 0
}

// awaitRemoved refuses a reading that lacks files of previous, until they have been missing for some time. The wait
// comes before anything is parsed: rules that refer to a missing module would only give errors that end with it.
func (l *loader) awaitRemoved(reading *source.Reading, previous *Generation) error {
	if previous == nil || l.wait == nil || !hasModules(reading) {
		return nil
	}
	now := time.Now()
	l.missing = missing{}
	var awaited awaitedError
	for _, f := range reading.Missing(previous.reading) {
		since, known := l.wait.since[f.Rel()]
		if !known {
			since = now
		}
		l.missing[f.Rel()] = since
		if left := l.wait.forKind(f.Kind()) - now.Sub(since); left > 0 {
			awaited.files = append(awaited.files, f.Path)
			awaited.left = max(awaited.left, left)
		}
	}
	if len(awaited.files) == 0 {
		return nil
	}
	return &Refused{Stage: StageRead, Err: &awaited}
}

// removalWait is nil where what is missing counts as gone at once.
func (e *Engine) removalWait(trigger Trigger) *removalWait {
	wait := time.Duration(e.removal.Load())
	if wait < 0 || e.cfg.Whole || trigger.AcceptRemovals || trigger.Source != nil {
		return nil
	}
	return &removalWait{since: e.missing, module: min(e.cfg.Settle, wait), data: wait}
}

// maxNamed bounds the names in one sentence or list.
const maxNamed = 20

// firstOf joins the first n names, and says how many more there are.
func firstOf(names []string, n int) string {
	if more := len(names) - n; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), more)
	}
	return strings.Join(names, ", ")
}
