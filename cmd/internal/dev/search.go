package dev

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/review/probe"
)

// Found is an input that nobody saved, and that the change has the policy answer otherwise.
type Found struct {
	Path    string   // of the document, such as app/allow
	Kind    string   // what becomes of the answer, such as "deny → allow"
	Input   string   // JSON, as small as it could be made
	Changed []string // the two answers: "- …" before, "+ …" now
}

// search looks for inputs that the change of a round has the policy answer otherwise. Its round is reported again when it ends.
type search struct {
	round  Round
	cancel context.CancelFunc
	ended  chan searched // holds one: a search never waits for its loop
}

// searched is what a search came to. text is empty if there is nothing to tell.
type searched struct {
	text  string
	found []Found
	err   error
}

// stop ends a search, which may be nil. What it finds from now on is not reported.
func (s *search) stop() {
	if s != nil {
		s.cancel()
	}
}

// result is where a search tells what it came to. s may be nil.
func (s *search) result() <-chan searched {
	if s == nil {
		return nil
	}
	return s.ended
}

// again is the round with what the search came to.
func (s *search) again(end searched) Round {
	r := s.round
	r.Again, r.Searching, r.Searched, r.Found, r.SearchErr = true, false, end.text, end.found, end.err
	return r
}

// searchFor begins the search of a round whose policy was before; nil where there is nothing to search. start runs it
// in a goroutine that the caller joins.
func (l *Loop) searchFor(ctx context.Context, r *Round, before *engine.Generation, start func(func() error)) *search {
	if l.cfg.ProbeTime <= 0 || before == nil || before == l.tested || !r.compiled() || onlyTests(changedSince(before, l.tested)) {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &search{cancel: cancel, ended: make(chan searched, 1)}
	now, in, limit := l.tested, inputs{dir: l.cfg.Dir, paths: slices.Clone(l.inputs.paths)}, l.cfg.ProbeTime
	start(func() error {
		defer cancel()
		s.ended <- in.search(ctx, before, now, limit)
		return nil
	})
	r.Searching = true
	s.round = *r
	return s
}

func onlyTests(files []string) bool {
	return !slices.ContainsFunc(files, func(name string) bool { return !strings.HasSuffix(name, "_test.rego") })
}

// search compares the two policies as they serve: without their tests, which refer to documents that callers ask for.
func (in *inputs) search(ctx context.Context, before, now *engine.Generation, limit time.Duration) searched {
	base, err := withoutTests(ctx, before, before)
	if err != nil {
		return searched{err: fmt.Errorf("without its tests, the policy before the change does not compile: %w", err)}
	}
	candidate, err := withoutTests(ctx, now, base)
	if err != nil {
		return searched{err: fmt.Errorf("without its tests, the policy does not compile: %w", err)}
	}
	seeds := append(in.seeds(candidate), probe.SeedsOfTests(now.Tests().Modules)...)
	p, err := probe.Run(ctx, base, candidate, seeds, probe.Options{CPU: limit})
	switch {
	case err != nil:
		return searched{err: fmt.Errorf("search for inputs: %w", err)}
	case p.Same:
		return searched{}
	}
	end := searched{text: probe.Text(p)}
	for _, f := range p.Found {
		end.found = append(end.found, Found{
			Path: f.Path, Kind: report.FlipName(f.Kind), Input: string(f.Input), Changed: []string{"- " + said(f.Before, f.BeforeError), "+ " + said(f.After, f.AfterError)},
		})
	}
	return end
}

// withoutTests is what serves of a generation with tests. It shares with previous what the two have in common.
func withoutTests(ctx context.Context, g, previous *engine.Generation) (*engine.Generation, error) {
	return engine.Load(ctx, memfs.New(func(yield func(string, []byte) bool) {
		for _, f := range g.Files() {
			if !strings.HasSuffix(f.Path, "_test.rego") && !yield(f.Path, f.Bytes) {
				return
			}
		}
	}), previous)
}

// seeds are the saved inputs, each for the packages that it is an input of. What cannot be read is reported by decide.
func (in *inputs) seeds(g *engine.Generation) (seeds []probe.Seed) {
	for _, p := range in.paths {
		value, err := in.read(p)
		if err != nil {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			continue
		}
		for _, file := range policiesOf(g, p) {
			pkg, _ := g.RulesIn(file)
			parts := make([]string, len(pkg))
			for i, part := range pkg {
				parts[i] = url.PathEscape(part)
			}
			seed := probe.Seed{Path: strings.Join(parts, "/"), Input: text}
			if _, err := engine.ParsePath(seed.Path); err == nil && !slices.ContainsFunc(seeds, func(s probe.Seed) bool {
				return s.Path == seed.Path && string(s.Input) == string(text)
			}) {
				seeds = append(seeds, seed)
			}
		}
	}
	return seeds
}

// said is an answer for people.
func said(answer json.RawMessage, failed string) string {
	switch {
	case failed != "":
		return failed
	case answer == nil:
		return "undefined"
	}
	return string(answer)
}

// compiled reports whether the round is of a policy that can be evaluated.
func (r *Round) compiled() bool { return r.Err == nil && len(r.Problems) == 0 }
