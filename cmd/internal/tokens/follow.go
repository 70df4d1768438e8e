package tokens

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/api/gate"
)

const (
	recheckInterval  = 100 * time.Millisecond // between looks at the file, while requests come
	missInterval     = time.Millisecond       // between looks for tokens that are not found, so that guessing costs little
	announceInterval = time.Second            // between looks for changes to announce
	racyFor          = 2 * time.Second        // equal times prove nothing of a file that is younger than this
)

// Follower finds the tokens of a store, as they are in its file now. Safe for concurrent use.
//
// The file is looked at when a request comes and the last look is a tenth of a second old, and for a token that is
// not found: so a new token is accepted at once, a revoked one is refused after that time, and no request waits
// for anything but a stat. If the file cannot be read, or could be written by others, no token of it is good:
// which ones were revoked is not known then.
type Follower struct {
	store    Store
	report   func(error)
	announce func(added, removed []Entry)

	began  time.Time
	looked atomic.Int64 // nanoseconds after began, when the newest look began
	tokens atomic.Pointer[content]

	mu       sync.Mutex  // guards the fields below
	seen     fs.FileInfo // of the newest look; nil: no file
	racy     bool
	problems string // reported last
	changes  []change
}

// change is what one reading of the file found to be different.
type change struct{ added, removed []Entry }

// content is what the file holds. It does not change.
type content struct {
	entries  []Entry
	byDigest map[gate.Digest]gate.Token
}

// Follow reads the file. It is an error that it cannot be read, or could be written by others; report is called for single
// lines that cannot be read, and for every problem later on. announce is called by [Follower.Run] after tokens were
// added or removed.
func Follow(s Store, report func(error), announce func(added, removed []Entry)) (*Follower, error) {
	if _, err := s.lines(); err != nil {
		return nil, err
	}
	f := &Follower{store: s, report: report, announce: announce, began: time.Now()}
	f.tokens.Store(&content{})
	f.look(0)
	f.changes = nil // what was there before is nothing new
	return f, nil
}

// Count is the number of tokens in the file.
func (f *Follower) Count() int { return len(f.tokens.Load().entries) }

// Digests returns the digests of the tokens in the file. It is the function for [gate.Config].
func (f *Follower) Digests() iter.Seq[gate.Digest] {
	f.look(0)
	return maps.Keys(f.tokens.Load().byDigest)
}

// Find returns the token with a digest. It is the function for [gate.Config].
func (f *Follower) Find(digest gate.Digest) (gate.Token, bool) {
	f.look(recheckInterval)
	token, ok := f.tokens.Load().byDigest[digest]
	if !ok {
		f.look(missInterval)
		token, ok = f.tokens.Load().byDigest[digest]
	}
	return token, ok
}

// Run announces changes until ctx ends. No token that was used is left out, however short it was good.
func (f *Follower) Run(ctx context.Context) error {
	ticker := time.NewTicker(announceInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			f.flush()
			return nil
		case <-ticker.C:
			f.look(recheckInterval)
			f.flush()
		}
	}
}

func (f *Follower) flush() {
	f.mu.Lock()
	changes := f.changes
	f.changes = nil
	f.mu.Unlock()
	for _, c := range changes {
		f.announce(c.added, c.removed)
	}
}

// without returns the entries of all that are not in others.
func without(all, others []Entry) []Entry {
	return slices.DeleteFunc(slices.Clone(all), func(e Entry) bool {
		return slices.ContainsFunc(others, func(o Entry) bool {
			return o.Name == e.Name && o.SHA256 == e.SHA256 && slices.Equal(o.Scopes, e.Scopes) && o.Expires.Equal(e.Expires)
		})
	})
}

// look reads the file if it has changed, unless the newest look is younger than age.
func (f *Follower) look(age time.Duration) {
	if f.younger(age) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.younger(age) { // another request looked while this one waited
		return
	}
	f.looked.Store(int64(time.Since(f.began)))
	info, err := os.Stat(f.store.Path())
	if errors.Is(err, fs.ErrNotExist) {
		info, err = nil, nil
	}
	if err == nil && !f.racy && same(f.seen, info) {
		return
	}
	f.seen, f.racy = info, info != nil && time.Since(info.ModTime()) < racyFor
	f.read()
}

func (f *Follower) younger(age time.Duration) bool {
	return age > 0 && time.Since(f.began)-time.Duration(f.looked.Load()) < age
}

func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

// read takes over what the file holds. The caller holds mu.
func (f *Follower) read() {
	entries, problems, err := f.store.List()
	if err != nil {
		f.racy = true // so that it is read again at the next look
		problems = append(problems, err)
	}
	now := &content{entries, make(map[gate.Digest]gate.Token, len(entries))}
	for _, e := range entries {
		if digest, token, err := e.token(); err == nil {
			now.byDigest[digest] = token
		}
	}
	before := f.tokens.Swap(now).entries
	if c := (change{without(entries, before), without(before, entries)}); len(c.added)+len(c.removed) > 0 {
		f.changes = append(f.changes, c)
	}
	text := ""
	if err := errors.Join(problems...); err != nil {
		text = err.Error()
	}
	if text != "" && text != f.problems {
		f.report(errors.Join(problems...))
	}
	f.problems = text
}
