package watcher

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// reopenInterval is the time between attempts to open the kernel's events.
const reopenInterval = 30 * time.Second

// loop owns all state of a watcher. Only the goroutine of run uses it.
type loop struct {
	cfg     Config
	open    func() (notifier, error)
	publish func(Health)

	notifier  notifier // nil while events are unavailable
	feed      *feed
	feedDone  chan struct{} // closed when feed.run has returned
	nextOpen  time.Time     // when to try open again
	openErr   error
	watched   map[string]fileID // watched directories, with their ids at the time of Add
	watchedAs map[fileID]string // the inverse of watched
	addErr    error             // why a directory of the latest scan could not be watched
	starved   error             // why the latest scan is incomplete
	snapshot  *snapshot
	pending   *Change
	due       time.Time // when pending is complete, unless more changes arrive
	lastEvent time.Time // that was merged into pending
	nextScan  time.Time // earliest time for rescanStructure to scan again
	scanOwed  bool      // rescanStructure has put off a scan until nextScan
	fullCheck time.Time
	health    Health
}

func newLoop(cfg Config, open func() (notifier, error), publish func(Health)) *loop {
	return &loop{
		cfg: cfg, open: open, publish: publish, feed: newFeed(),
		watched: map[string]fileID{}, watchedAs: map[fileID]string{}, snapshot: &snapshot{},
		health: Health{State: StateStarting},
	}
}

// run merges all that happens into one pending change and offers it to out once it has settled. The
// channel offered to is nil until then, so that its case in the select cannot be chosen.
func (l *loop) run(ctx context.Context, out chan<- Change) {
	now := time.Now()
	l.fullCheck = now.Add(l.cfg.FullCheckInterval)
	l.rescan(now)
	l.merge(now, 0, Change{Rescan: true, Polled: l.mode() == ModePoll, Reason: "the watch began"})
	settle, poll := time.NewTimer(0), time.NewTimer(l.pollInterval())
	defer settle.Stop()
	defer poll.Stop()
	safe := l.eventsSuffice()
	for {
		if l.eventsSuffice() != safe {
			safe = l.eventsSuffice()
			poll.Reset(l.pollInterval())
		}
		var offer chan<- Change
		var change Change
		if l.pending != nil {
			if l.settled(time.Now()) {
				offer, change = out, l.pendingChange()
			} else {
				settle.Reset(max(time.Until(l.due), 0))
			}
		}
		l.publishHealth()
		select {
		case <-ctx.Done():
			return
		case offer <- change:
			l.pending = nil
		case <-l.feed.wake:
			l.handleEvents(time.Now())
		case <-settle.C:
		case <-poll.C:
			l.poll(time.Now())
			poll.Reset(l.pollInterval())
		}
	}
}

// close stops the events and publishes StateStopped.
func (l *loop) close() {
	l.closeNotifier()
	l.health.State = StateStopped
	l.publish(l.health)
}

func (l *loop) closeNotifier() {
	if l.notifier != nil {
		_ = l.notifier.Close() // nothing depends on its result; at worst a descriptor stays open
		<-l.feedDone
		l.notifier, l.watched, l.watchedAs = nil, map[string]fileID{}, map[fileID]string{}
	}
}

func (l *loop) mode() Mode {
	if l.notifier != nil && l.addErr == nil && l.starved == nil {
		return ModeNotify
	}
	return ModePoll
}

// eventsSuffice reports whether events alone are expected to report every change.
func (l *loop) eventsSuffice() bool { return l.mode() == ModeNotify && l.snapshot.root != "" }

func (l *loop) pollInterval() time.Duration {
	interval := l.cfg.PollInterval
	if l.eventsSuffice() {
		interval = l.cfg.SafetyInterval
	}
	l.health.NextPoll = time.Now().Add(interval)
	return interval
}

func (l *loop) publishHealth() {
	h := &l.health
	h.Mode, h.State, h.Directories = l.mode(), StateWatching, len(l.snapshot.dirs)
	if l.snapshot.root == "" {
		h.State = StateMissing
	}
	var reasons []string
	if h.Mode == ModePoll && l.cfg.Mode != ModePoll {
		if err := errors.Join(l.openErr, l.addErr, l.starved); err != nil {
			reasons = append(reasons, err.Error())
		}
	}
	if l.snapshot.root == "" {
		reasons = append(reasons, "waiting for "+l.cfg.Root+", which is missing or not a directory")
	}
	h.Reason = strings.Join(append(reasons, l.snapshot.unwatched...), "; ")
	l.publish(*h)
}

// merge adds c to the pending change, which is then due after quiet, or MaxWait after it began.
func (l *loop) merge(now time.Time, quiet time.Duration, c Change) {
	if l.pending == nil {
		c.At = now
		l.pending, l.due = &c, now
	} else {
		p := l.pending
		p.Paths = append(p.Paths, c.Paths...)
		p.Rescan = p.Rescan || c.Rescan
		p.Polled = p.Polled && c.Polled
		if p.Reason == "" {
			p.Reason = c.Reason
		}
	}
	l.lastEvent = now
	latest := l.pending.At.Add(l.cfg.MaxWait)
	if due := now.Add(quiet); due.After(l.due) {
		l.due = due
	}
	if l.due.After(latest) {
		l.due = latest
	}
}

// pendingChange returns the pending change with its paths sorted and without duplicates.
func (l *loop) pendingChange() Change {
	p := l.pending
	slices.Sort(p.Paths)
	p.Paths = slices.Compact(p.Paths)
	return *p
}

// settled reports whether the pending change is complete. If not, due is when to ask again.
func (l *loop) settled(now time.Time) bool {
	if now.Before(l.due) {
		return false
	}
	if l.scanOwed { // due now, even if the last scan has only just ended
		l.nextScan = now
		l.rescanStructure(now)
		return !now.Before(l.due)
	}
	return !l.looksUnfinished(now)
}

// rescanStructure scans because directories or links changed: at once, or after a pause as long as
// the last scan took, so that scans never take more than half of the time.
func (l *loop) rescanStructure(now time.Time) {
	const reason = "directories or links changed"
	if l.scanOwed = now.Before(l.nextScan); l.scanOwed {
		l.merge(now, l.nextScan.Sub(now), Change{Rescan: true, Reason: reason})
		return
	}
	l.merge(now, wholeFileQuiet, Change{Paths: l.rescan(now), Rescan: true, Reason: reason})
}

// looksUnfinished reports whether a file of the pending change is empty, as a file is when an in-place save begins, or
// is open for writing. It then postpones due: within MaxWait for an empty file, longer for one that is open.
func (l *loop) looksUnfinished(now time.Time) bool {
	latest := l.pending.At.Add(l.cfg.MaxWait)
	if l.snapshot.root == "" {
		return false
	}
	patient := now.Before(l.lastEvent.Add(maxWriterIdle)) && now.Before(l.pending.At.Add(maxWriterWait))
	l.pending.Open = nil
	for _, rel := range l.pendingChange().Paths { // each once: a slow writer makes many events
		name := filepath.Join(l.snapshot.root, rel)
		info, err := os.Stat(name)
		switch {
		case err != nil || !info.Mode().IsRegular():
		case info.Size() == 0 && now.Before(latest):
			l.due = now.Add(l.cfg.Debounce)
			if l.due.After(latest) {
				l.due = latest
			}
			return true
		case !openForWriting(name):
		case patient:
			l.due = now.Add(l.cfg.Debounce)
			return true
		default:
			l.pending.Open = append(l.pending.Open, rel)
		}
	}
	return false
}

// handleEvents handles the events and errors that the feed has collected.
func (l *loop) handleEvents(now time.Time) {
	events, errs, lost := l.feed.drain()
	if lost > 0 {
		l.health.Dropped += lost
		reason := "events were lost: " + errors.Join(errs...).Error()
		paths := l.rescan(now)
		l.merge(now, wholeFileQuiet, Change{Paths: paths, Rescan: true, Reason: reason})
	}
	structural := false
	for name, op := range events {
		structural = l.handleEvent(now, name, op) || structural
	}
	if structural {
		l.rescanStructure(now)
	}
}

// handleEvent handles one event. structural reports whether directories or links may have changed.
func (l *loop) handleEvent(now time.Time, name string, op fsnotify.Op) (structural bool) {
	dir, base := filepath.Split(filepath.Clean(name))
	dir = filepath.Clean(dir)
	if _, ok := l.watched[name]; ok && op&(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) != 0 {
		l.unwatch(name) // the next scan adds a new watch; the new directory may have the old one's inode number
	}
	if l.snapshot.anchors[dir][base] && op&^fsnotify.Chmod&^fsnotify.Write != 0 {
		l.health.Events++
		return true
	}
	if _, isDir := l.snapshot.dirs[name]; isDir {
		if op&^fsnotify.Write == 0 {
			return false
		}
		l.health.Events++
		l.merge(now, l.cfg.Debounce, Change{}) // the second half of a move may follow
		return true
	}
	relDir, inTree := l.snapshot.dirs[dir]
	if !inTree || strings.HasPrefix(base, ".") {
		return l.handleLinkTarget(now, dir, base)
	}
	rel := path.Join(relDir, base)
	info, err := os.Lstat(name)
	if err == nil && (info.IsDir() || info.Mode()&os.ModeSymlink != 0) {
		l.health.Events++
		return true
	}
	if !l.cfg.Relevant(rel) {
		if err != nil && op.Has(fsnotify.Create) && !op.Has(fsnotify.Write) {
			// It is gone already and was never written to, so it may have been a link or a directory that
			// the reader of the tree has met.
			l.health.Events++
			l.merge(now, l.cfg.Debounce, Change{Paths: []string{rel}})
		}
		return l.handleLinkTarget(now, dir, base)
	}
	l.health.Events++
	l.merge(now, l.quietPeriod(op, info), Change{Paths: []string{rel}})
	l.recordStamp(name, rel)
	return false
}

// quietPeriod returns how long a file must stay quiet before its change counts as complete. A file
// that appeared whole, as by a rename, needs only wholeFileQuiet.
func (l *loop) quietPeriod(op fsnotify.Op, info os.FileInfo) time.Duration {
	if op == fsnotify.Create && info != nil && info.Size() > 0 {
		return min(wholeFileQuiet, l.cfg.Debounce)
	}
	return l.cfg.Debounce
}

// handleLinkTarget handles a change of a file that a link in the tree leads to.
func (l *loop) handleLinkTarget(now time.Time, dir, base string) bool {
	if l.snapshot.anchors[dir][base] {
		l.health.Events++
		l.merge(now, l.cfg.Debounce, Change{Rescan: true, Reason: "the target of a link changed"})
		return true
	}
	return false
}

// recordStamp updates the snapshot, so that the next scan does not report the same change again.
func (l *loop) recordStamp(name, rel string) {
	if info, err := os.Stat(name); err == nil {
		l.snapshot.files[rel] = stampOf(info)
	} else {
		delete(l.snapshot.files, rel)
	}
}

// poll runs the regular scan, and asks for a full check when one is due.
func (l *loop) poll(now time.Time) {
	if paths := l.rescan(now); len(paths) > 0 {
		l.merge(now, l.cfg.Debounce, Change{Paths: paths, Polled: true})
	}
	if l.cfg.FullCheckInterval > 0 && !now.Before(l.fullCheck) {
		l.fullCheck = now.Add(l.cfg.FullCheckInterval)
		l.merge(now, 0, Change{Rescan: true, Polled: true, Reason: "full check"})
	}
}
