package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"defenseclaw/engine/corpus"
	"defenseclaw/policies"
)

// decide measures what a decision costs, by policies of eight kinds, each with a small, a median and a large input. All
// programs of a kind run at the same time, and take turns under load.
func (b *bench) decide(ctx context.Context) error {
	kinds, err := corpus.Kinds(policies.FS())
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if !b.selects("decide " + k.Name) {
			continue
		}
		if err := b.decideKind(ctx, k); err != nil {
			return fmt.Errorf("decide %s: %w", k.Name, err)
		}
	}
	return nil
}

func (b *bench) decideKind(ctx context.Context, k corpus.Kind) error {
	dir := filepath.Join(b.dir, "decide-"+k.Name)
	if err := writeFiles(filepath.Join(dir, "policy"), k.Files); err != nil {
		return err
	}
	// With a processor each, a program and the load do not take turns, so the program's processor time is its own.
	cpus := placement{pinned: true}
	var err error
	if cpus.program, cpus.load, err = twoCPUs(); err != nil {
		fmt.Fprintf(b.progress, "policybench: program and load share the processor: %v\n", err)
		cpus = placement{}
	}
	programs, err := b.startLoaded(ctx, dir, cpus)
	defer closeAll(programs)
	if err != nil {
		return err
	}
	for _, input := range k.Inputs {
		if err := b.decideInput(ctx, k, input, programs); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) decideInput(ctx context.Context, k corpus.Kind, input corpus.KindInput, running []*loaded) error {
	name := k.Name + ", " + input.Size
	var programs []*loaded // with measurements of their own
	questions := map[*loaded][]corpus.Question{}
	for _, r := range running {
		l := &loaded{session: r.session, loadCPU: r.loadCPU}
		programs = append(programs, l)
		q, err := l.withAnswer(ctx, corpus.Question{Path: k.Path, Input: input.JSON}, b.deadline)
		if err != nil {
			return err
		}
		questions[l] = []corpus.Question{q}
	}
	if err := b.compareLoaded(ctx, name, programs, corpus.Question{Path: k.Path, Input: input.JSON}); err != nil {
		return err
	}
	for _, l := range programs {
		if _, err := l.underLoad(ctx, b.connections, b.load/2, questions[l]); err != nil { // warm
			return err
		}
	}
	measure := func(l *loaded) error { return b.loadOnce(ctx, l, questions[l]) }
	err := alternate(ctx, b, decidePrefix+name, programs, measure, nil)
	if err == nil {
		b.addDecide(name, len(input.JSON), programs)
	}
	return err
}

// withAnswer waits until the program answers q, and returns q with that answer: under load it must give the same again.
func (s *session) withAnswer(ctx context.Context, q corpus.Question, limit time.Duration) (corpus.Question, error) {
	r := s.dataRequest(q)
	for until := time.Now().Add(limit); ; {
		body, err := s.poll.do(ctx, r)
		var answer struct{ Result json.RawMessage }
		if err == nil {
			err = json.Unmarshal(body, &answer)
		}
		if err == nil && answer.Result != nil {
			q.Result = string(answer.Result)
			return q, nil
		}
		if err == nil {
			err = errors.New("the document is undefined")
		}
		if ctx.Err() != nil || time.Now().After(until) {
			return q, s.withLog(fmt.Errorf("no answer to %s within %s: %w", q.Path, limit, err))
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return q, err
		}
	}
}

// compareLoaded asks all programs the same question, and adds answers that differ from the first program's to the report.
func (b *bench) compareLoaded(ctx context.Context, name string, programs []*loaded, q corpus.Question) error {
	var first string
	for i, l := range programs {
		answer, err := l.poll.result(ctx, l.dataRequest(q))
		if err != nil {
			return l.withLog(err)
		}
		if i == 0 {
			first = answer
			continue
		}
		b.report.Agreed++
		if answer != first {
			b.report.Disagreements = append(b.report.Disagreements,
				oneLine(fmt.Sprintf("%s: %s answers %s, %s answers %s", name, programs[0].name, first, l.name, answer)))
		}
	}
	return nil
}

// The measures of decide. Their rows have a table of their own.
const (
	decidePrefix     = "decide: "
	decideTime       = decidePrefix + "processor time"
	decideRate       = decidePrefix + "throughput"
	decideMedian     = decidePrefix + "median latency"
	decidePercentile = decidePrefix + "99th percentile"
	decideMallocs    = decidePrefix + "allocations"
)

func (b *bench) addDecide(name string, inputBytes int, programs []*loaded) {
	for _, m := range []struct {
		measure, unit string
		moreIsBetter  bool
		samples       func(*loaded) []float64
	}{
		{decideTime, "µs", false, func(l *loaded) []float64 { return l.cpuTime }},
		{decideRate, "/s", true, func(l *loaded) []float64 { return l.rate }},
		{decideMedian, "ms", false, func(l *loaded) []float64 { return l.p50 }},
		{decidePercentile, "ms", false, func(l *loaded) []float64 { return l.p99 }},
		{decideMallocs, "", false, func(l *loaded) []float64 { return l.mallocs }},
	} {
		w := row{
			Measure: m.measure, Corpus: name, Unit: m.unit, MoreIsBetter: m.moreIsBetter, InputBytes: inputBytes,
			Programs: map[string]summary{},
		}
		for _, l := range programs {
			w.Programs[l.name] = summarise(m.samples(l))
		}
		b.report.add(w)
	}
}
