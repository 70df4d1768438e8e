package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/record"
)

// held is a release that is at hand. It never changes, but for its parts, which belong to the goroutine that applies.
type held struct {
	revision string
	set      delta.Set
	tree     fs.FS
	parts    []part // from which the disk can make it; none: only from the set
}

// maxHeld is how many releases are at hand: what serves, what is offered or prepared, and what may be gone back to.
const maxHeld = 4

// maxParts is how many deltas follow a snapshot on disk.
const maxParts = 32

// find returns a release that is at hand.
func (a *Agent) find(revision string) *held {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.held {
		if h.revision == revision {
			return h
		}
	}
	return nil
}

// hold puts a release at hand, in the first place, and lets go of the one that was longest not asked for.
func (a *Agent) hold(h *held) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := []*held{h}
	for _, other := range a.held {
		if other.revision != h.revision && len(all) < maxHeld {
			all = append(all, other)
		}
	}
	a.held = all
}

// refusal is an error that the channel or the release is to blame for, and that repeating does not mend.
type refusal struct {
	code record.Code
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// unpack makes a release by a delta from another, which may be nil: then from nothing.
func (a *Agent) unpack(from *held, packed []byte, revision string) (*held, error) {
	var base held
	if from != nil {
		base = *from
	}
	set, change, to, err := delta.Apply(base.set, base.revision, packed, a.cfg.Limits)
	switch {
	case errors.Is(err, delta.ErrLimits):
		return nil, &refusal{record.CodeLimits, err}
	case err != nil:
		return nil, &refusal{record.CodeHash, err}
	case to != revision:
		return nil, &refusal{record.CodeHash, fmt.Errorf("it leads to %q, and %q was expected", to, revision)}
	}
	if got := a.cfg.Revision(set); got != revision {
		return nil, &refusal{record.CodeHash, fmt.Errorf("the files have the revision %s, and %s is signed", got, revision)}
	}
	tree, err := a.cfg.Tree(set, base.tree, change)
	if err != nil {
		return nil, &refusal{record.CodePolicy, err}
	}
	h := &held{revision: revision, set: set, tree: tree}
	if from == nil || len(from.parts) > 0 {
		h.parts = append(append([]part{}, base.parts...), part{partName(base.revision, revision), packed})
	}
	return h, nil
}

func partName(from, to string) string {
	name := strings.TrimPrefix(to, "sha256:")
	if from != "" {
		name += "." + strings.TrimPrefix(from, "sha256:")
	}
	return name + partSuffix
}

// kept makes a release of what the disk has.
func (a *Agent) kept(k *kept) (*held, *record.Opened, error) {
	r, err := record.OpenKept(k.Record, a.cfg.Channel, a.keys.now())
	if err != nil {
		return nil, nil, err
	}
	if k.Revision != r.Target.Revision && k.Revision != r.Base.Revision {
		return nil, nil, fmt.Errorf("its record does not name the revision %s", k.Revision)
	}
	set, err := a.disk.unpack(k, a.cfg.Limits)
	if err != nil {
		return nil, nil, err
	}
	if got := a.cfg.Revision(set); got != k.Revision {
		return nil, nil, fmt.Errorf("its files have the revision %s, and %s is signed", got, k.Revision)
	}
	tree, err := a.cfg.Tree(set, nil, set.Since(delta.Set{}))
	if err != nil {
		return nil, nil, err
	}
	h := &held{revision: k.Revision, set: set, tree: tree}
	for _, name := range k.Parts {
		h.parts = append(h.parts, part{name: name}) // it is there: the packed bytes are not needed
	}
	return h, r, nil
}

// compact makes one part of many.
func (a *Agent) compact(h *held) error {
	packed, err := delta.Make(delta.Set{}, h.set, "", h.revision)
	if err != nil {
		return err
	}
	h.parts = []part{{partName("", h.revision), packed}}
	return nil
}

// wordy reports whether the parts of a release are many, or larger than a snapshot of their own would be.
func (a *Agent) wordy(h *held) bool {
	if len(h.parts) == 0 || len(h.parts) > maxParts {
		return true
	}
	var first, rest int64
	for i, p := range h.parts {
		size, onDisk := a.disk.has[p.name]
		switch {
		case !onDisk && p.packed == nil:
			return true // it was swept away
		case !onDisk:
			size = int64(len(p.packed))
		}
		if i == 0 {
			first = size
		} else {
			rest += size
		}
	}
	return rest > max(first, 1<<20)
}
