package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/ast"
)

// hashes are those of a generation's rules and places of data that differ from the generation hashed before; "" stands
// for one that is gone. With them, what changed when can be told from the index alone.
type hashes struct {
	Seq   uint64                       `json:"-"`
	Since uint64                       `json:"since,omitempty"` // of the generation before; zero: these are all
	Rules map[string]map[string]string `json:"rules,omitempty"` // by package and path
	Data  map[string]string            `json:"data,omitempty"`  // by path, down to dataDepth
}

const (
	dataDepth   = 3
	maxChildren = 1000 // of a place of data whose children have hashes of their own
)

// add makes h what it is after a change.
func (h *hashes) add(change *hashes) {
	if change.Since == 0 {
		h.Rules, h.Data = nil, nil
	}
	if h.Rules == nil {
		h.Rules, h.Data = map[string]map[string]string{}, map[string]string{}
	}
	for pkg, rules := range change.Rules {
		merged := maps.Clone(h.Rules[pkg])
		if merged == nil {
			merged = map[string]string{}
		}
		merge(merged, rules)
		h.Rules[pkg] = merged
	}
	merge(h.Data, change.Data)
	h.Seq, h.Since = change.Seq, 0
}

func merge(all, change map[string]string) {
	for path, hash := range change {
		if hash == "" {
			delete(all, path)
		} else {
			all[path] = hash
		}
	}
}

// differences are what turns before into now.
func differences(before, now map[string]string) map[string]string {
	found := map[string]string{}
	for path, hash := range now {
		if before[path] != hash {
			found[path] = hash
		}
	}
	for path := range before {
		if now[path] == "" {
			found[path] = ""
		}
	}
	return found
}

// hash writes what a generation changed into the index, unless that is there. previous is what served before it.
func (s *Store) hash(ctx context.Context, r Record, g, previous *engine.Generation, p *pace) error {
	state := s.hashed()
	if r.Seq <= state.Seq {
		return nil
	}
	change := &hashes{Seq: r.Seq, Since: state.Seq, Rules: map[string]map[string]string{}, Data: map[string]string{}}
	if previous != nil && s.revisionOf(state.Seq) != previous.Revision() {
		previous = nil // what lies between is not hashed: everything is compared
	}
	now := map[string]map[string]string{}
	for _, pkg := range engine.DeltaOf(previous, g).Packages {
		rules, err := rulesOf(ctx, pkg.After, p)
		if err != nil {
			return err
		}
		now[pkg.Path.String()] = rules
	}
	if previous == nil {
		for pkg := range state.Rules {
			if now[pkg] == nil {
				now[pkg] = map[string]string{}
			}
		}
	}
	for pkg, rules := range now {
		if changed := differences(state.Rules[pkg], rules); len(changed) > 0 {
			change.Rules[pkg] = changed
		}
	}
	if previous == nil || g.Data() != previous.Data() {
		data := map[string]string{}
		if _, err := hashData(ctx, g.Data(), "data", 0, data, p); err != nil {
			return err
		}
		change.Data = differences(state.Data, data)
	}
	return s.appendHashes(change)
}

func (s *Store) appendHashes(change *hashes) error {
	s.index.writing.Lock()
	defer s.index.writing.Unlock()
	s.index.mu.Lock()
	s.index.hashes = append(s.index.hashes, change)
	s.index.mu.Unlock()
	return s.appendIndex(body{Seq: change.Seq, Hashes: change})
}

// hashed is what the newest hashed generation has.
func (s *Store) hashed() *hashes {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	return fold(s.index.hashes)
}

// fold adds changes up. One that does not follow the one before it, since that is lost, makes what came before it
// unknown.
func fold(all []*hashes) *hashes {
	state := &hashes{}
	for _, h := range all {
		if h.Since != 0 && h.Since != state.Seq {
			*state = hashes{}
			continue
		}
		state.add(h)
	}
	return state
}

func (s *Store) revisionOf(seq uint64) string {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	for _, r := range s.index.records {
		if r.Seq == seq {
			return r.Revision
		}
	}
	return ""
}

// rulesOf hashes the rules of a package by their normal texts, whose order does not count.
func rulesOf(ctx context.Context, modules []*ast.Module, p *pace) (map[string]string, error) {
	texts := map[string][]string{}
	for _, m := range modules {
		for _, rule := range m.Rules {
			if err := p.next(ctx); err != nil {
				return nil, err
			}
			path := rule.Ref().GroundPrefix().String()
			texts[path] = append(texts[path], review.Normal(rule))
		}
	}
	found := map[string]string{}
	for path, clauses := range texts {
		slices.Sort(clauses)
		found[path] = shortHash(strings.Join(clauses, "\n"))
	}
	return found, nil
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// hashData hashes a value, and puts the hashes of the places below it into found.
func hashData(ctx context.Context, v ast.Value, at string, depth int, found map[string]string, p *pace) (string, error) {
	if err := p.next(ctx); err != nil {
		return "", err
	}
	object, ok := v.(ast.Object)
	if !ok || depth == dataDepth || object.Len() > maxChildren {
		hash := shortHash(v.String())
		found[at] = hash
		return hash, nil
	}
	var parts []string
	err := object.Iter(func(key, value *ast.Term) error {
		hash, err := hashData(ctx, value.Value, dataPath(at, key), depth+1, found, p)
		parts = append(parts, fmt.Sprintf("%s:%s", key, hash))
		return err
	})
	if err != nil {
		return "", err
	}
	slices.Sort(parts)
	found[at] = shortHash(strings.Join(parts, "\n"))
	return found[at], nil
}

// dataPath is the path of a child as Rego writes it.
func dataPath(at string, key *ast.Term) string {
	ref := ast.Ref{ast.VarTerm("x"), key}
	return at + strings.TrimPrefix(ref.String(), "x")
}
