package history

import (
	"fmt"
	"slices"
	"strings"
)

// Blamed is what changed a rule or a place of data.
type Blamed struct {
	Path  string // that was asked for
	Place string // the rule or place that the index has, at Path, above it or below it
	Kind  string // rule, package or data

	// Changes are the newest one and the one before. The oldest of which the index tells may be where it begins.
	Changes []Change
}

// Change is one of them.
type Change struct {
	Record Record
	Kind   string // added, changed, removed, or there: it was so when the index began
	Since  uint64 // the number of the generation that it differs from; zero if none is known
}

// Blame tells which generations changed the rule or the place of data at a path such as data.p.allow, by the index alone:
// the newest, and the one before. Data is told apart down to the third level. A path of a package stands for all its rules. The error
// wraps [ErrNotFound] if the index has nothing there.
func (s *Store) Blame(path string) (Blamed, error) {
	all, err := s.allHashes()
	if err != nil {
		return Blamed{}, err
	}
	records, err := s.Records()
	if err != nil {
		return Blamed{}, err
	}
	b := Blamed{Path: path}
	if b.Place, b.Kind = placeOf(path, all); b.Place == "" {
		return b, fmt.Errorf("%w: none has a rule or data at %s", ErrNotFound, path)
	}
	for i, h := range slices.Backward(all) {
		kind := h.changeOf(b, all[:i])
		at := slices.IndexFunc(records, func(r Record) bool { return r.Seq == h.Seq })
		if kind == "" || at < 0 {
			continue
		}
		b.Changes = append(b.Changes, Change{Record: records[at], Kind: kind, Since: h.Since})
		if len(b.Changes) == 2 {
			break
		}
	}
	if len(b.Changes) == 0 {
		return b, fmt.Errorf("%w: none has a rule or data at %s", ErrNotFound, path)
	}
	return b, nil
}

// placeOf finds the longest place at or above a path, or a package at or above it.
func placeOf(path string, all []*hashes) (place, kind string) {
	take := func(at, what string) {
		if at == path || isBelow(path, at) && what != "package" {
			if len(at) > len(place) || at == place && what == "rule" {
				place, kind = at, what
			}
		}
	}
	for _, h := range all {
		for pkg, rules := range h.Rules {
			take(pkg, "package")
			for rule := range rules {
				take(rule, "rule")
			}
		}
		for at := range h.Data {
			if at != "data" || path == "data" {
				take(at, "data")
			}
		}
	}
	return place, kind
}

func isBelow(path, at string) bool {
	rest, ok := strings.CutPrefix(path, at)
	return ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "["))
}

// changeOf says what h did to a place; before are the changes before it.
func (h *hashes) changeOf(b Blamed, before []*hashes) string {
	hash, changed := "", false
	switch b.Kind {
	case "package":
		if len(h.Rules[b.Place]) == 0 {
			return ""
		}
		if h.Since == 0 {
			return "there"
		}
		return "changed"
	case "rule":
		for _, rules := range h.Rules {
			if at, ok := rules[b.Place]; ok {
				hash, changed = at, true
			}
		}
	default:
		hash, changed = h.Data[b.Place]
	}
	switch {
	case !changed:
		return ""
	case h.Since == 0:
		return "there"
	case hash == "":
		return "removed"
	case fold(before).has(b.Place):
		return "changed"
	default:
		return "added"
	}
}

func (h *hashes) has(place string) bool {
	for _, rules := range h.Rules {
		if rules[place] != "" {
			return true
		}
	}
	return h.Data[place] != ""
}

// allHashes are those of memory or, in a process that does not save, of the file.
func (s *Store) allHashes() ([]*hashes, error) {
	s.index.mu.Lock()
	ours, all := s.index.ours, slices.Clone(s.index.hashes)
	s.index.mu.Unlock()
	if ours {
		return all, nil
	}
	c, err := readIndex(s.indexPath())
	if err != nil {
		return nil, fmt.Errorf("read the index of the history: %w", err)
	}
	return c.hashes, nil
}
