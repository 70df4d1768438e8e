package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// measureEdits measures a scenario: starts, edits of each kind, memory and a storm.
func (b *bench) measureEdits(ctx context.Context, sc scenario) error {
	dir, err := os.MkdirTemp(b.dir, "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // run removes b.dir and checks that
	run := &editRun{bench: b, scenario: sc, dir: dir}
	defer run.close()
	if err := run.start(ctx); err != nil {
		return err
	}
	if err := run.memory(atStart, run.sessions); err != nil {
		return err
	}
	if b.selects("edit", "memory", "data") {
		if err := run.edits(ctx); err != nil {
			return err
		}
		if err := run.memory(after(run.sessions[0].edits), run.sessions); err != nil {
			return err
		}
	}
	if sc.storm && b.selects("storm") {
		if err := run.storms(ctx); err != nil {
			return err
		}
	}
	if b.edits > 0 && sc.storm && b.selects("memory") {
		return run.memoryAfterEdits(ctx)
	}
	return nil
}

// measurePack measures starts alone.
func (b *bench) measurePack(ctx context.Context) error {
	sc, err := pack()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.dir, "pack-")
	if err != nil {
		return err
	}
	run := &editRun{bench: b, scenario: sc, dir: dir}
	defer run.close()
	if err := run.start(ctx); err != nil {
		return err
	}
	return run.memory(atStart, run.sessions)
}

// An editRun is the measurement of one scenario.
type editRun struct {
	*bench
	scenario
	dir      string
	sessions []*session
	slowest  time.Duration // of the edits that went live
}

func (r *editRun) close() {
	for _, s := range r.sessions {
		if s != nil {
			r.closeSession(s)
		}
	}
}

// closeSession ends a session and adds its failures to the report.
func (r *editRun) closeSession(s *session) {
	s.close()
	r.report.Failed += s.failed
	if s.failure != nil {
		r.report.Failures = append(r.report.Failures, oneLine(fmt.Sprintf("%s: %v", r.corpus, s.failure)))
	}
}

const atStart = "at start"

func after(edits int) string {
	if edits == 1 {
		return "after 1 edit"
	}
	return fmt.Sprintf("after %s edits", number(float64(edits)))
}

func (r *editRun) home(name string) string { return filepath.Join(r.dir, name) }

func (r *editRun) row(measure, unit string, programs map[string]summary) {
	r.report.add(row{Measure: measure, Corpus: r.corpus, Unit: unit, Programs: programs})
}

// start measures starts of the programs. The last process of each program becomes its session.
func (r *editRun) start(ctx context.Context) error {
	peers := r.peers()
	r.sessions = make([]*session, len(peers))
	indices := make([]int, len(peers))
	latencies := map[string][]float64{}
	for i, p := range peers {
		indices[i] = i
		if err := writeFiles(filepath.Join(r.home(p.name), "policy"), r.files); err != nil {
			return err
		}
		if err := os.MkdirAll(stagingDir(r.home(p.name)), 0o700); err != nil {
			return err
		}
	}
	err := alternate(ctx, r.bench, r.corpus+": start to first answer", indices, func(i int) error {
		if r.sessions[i] != nil {
			r.closeSession(r.sessions[i])
			r.sessions[i] = nil
		}
		p, home := peers[i], r.home(peers[i].name)
		started := time.Now()
		running, err := p.start(ctx, filepath.Join(home, "policy"), home)
		if err != nil {
			return err
		}
		s := newSession(running)
		r.sessions[i] = s
		live, err := s.waitFor(ctx, r.steady, r.deadline)
		if err != nil {
			return err
		}
		if !live {
			return s.withLog(fmt.Errorf("no correct answer to %s within %s of the start", r.steady.Path, r.deadline))
		}
		latencies[p.name] = append(latencies[p.name], milliseconds(time.Since(started)))
		return s.waitIdle(ctx, r.deadline)
	}, nil)
	if err == nil {
		r.row("start to first answer", "ms", summaries(latencies))
	}
	return err
}

func summaries(samples map[string][]float64) map[string]summary {
	all := make(map[string]summary, len(samples))
	for name, s := range samples {
		all[name] = summarise(s)
	}
	return all
}

// memory adds rows for the memory of the programs, on systems with /proc.
func (r *editRun) memory(when string, sessions []*session) error {
	now, peak := map[string][]float64{}, map[string][]float64{}
	for _, s := range sessions {
		current, peakBytes, err := s.memory()
		if errors.Is(err, errNoProc) {
			fmt.Fprintf(r.progress, "policybench: NO MEMORY: %v\n", err)
			return nil
		}
		if err != nil {
			return err
		}
		now[s.name], peak[s.name] = []float64{current / megabyte}, []float64{peakBytes / megabyte}
	}
	r.row("memory "+when, "MB", summaries(now))
	if when != atStart { // at the start, the peak equals the current value
		r.row("peak memory "+when, "MB", summaries(peak))
	}
	return nil
}

func (r *editRun) edits(ctx context.Context) error {
	maxDecision, firstDecision := map[string][]float64{}, map[string][]float64{}
	for _, k := range r.kinds {
		toLive, neverLive := map[string][]float64{}, map[string]int{}
		err := alternate(ctx, r.bench, r.corpus+": "+k.name, r.sessions, func(s *session) error {
			for range s.beginRound() {
				e, err := r.editOnce(ctx, s, k)
				if err != nil {
					return err
				}
				maxDecision[s.name] = append(maxDecision[s.name], milliseconds(e.maxDecision))
				if e.live {
					r.slowest = max(r.slowest, e.toLive)
					toLive[s.name] = append(toLive[s.name], milliseconds(e.toLive))
					firstDecision[s.name] = append(firstDecision[s.name], milliseconds(e.firstDecision))
				} else {
					neverLive[s.name]++
				}
				if err := s.waitIdle(ctx, r.deadline); err != nil {
					return err
				}
			}
			return nil
		}, func() error { return r.compare(ctx) })
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		programs := summaries(toLive)
		for name, n := range neverLive {
			s := programs[name]
			s.NeverLive = n
			programs[name] = s
		}
		r.row(k.measure(), "ms", programs)
	}
	r.row("longest decision during these edits", "ms", summaries(maxDecision))
	r.row("first decision after these edits", "ms", summaries(firstDecision))
	return nil
}

// beginRound returns the number of edits in a round: three for the sidecar and one for opa, where an edit may
// take a hundred times as long. All programs end a round at the same version.
func (s *session) beginRound() (edits int) {
	const sidecarEdits = 3
	if s.name == sidecarName {
		return sidecarEdits
	}
	s.version += sidecarEdits - 1
	return 1
}

func (r *editRun) editOnce(ctx context.Context, s *session, k kind) (editResult, error) {
	s.version++
	c := k.next(s.version)
	c.first = r.questions[firstQuestion]
	return s.edit(ctx, c, k.by(stagingDir(r.home(s.name))), r.steady, r.deadline)
}

// compare asks both programs the same questions and adds different answers to the report.
func (r *editRun) compare(ctx context.Context) error {
	if len(r.sessions) < 2 || r.sessions[0].version != r.sessions[1].version {
		return nil
	}
	for _, q := range r.questions {
		r.report.Agreed++
		var answers [2]string
		for until := time.Now().Add(r.agreeWithin); ; {
			for i, s := range r.sessions[:2] {
				var err error
				if answers[i], err = s.poll.result(ctx, s.dataRequest(q)); err != nil {
					answers[i] = "error: " + err.Error()
				}
			}
			if answers[0] == answers[1] || time.Now().After(until) {
				break
			}
			if err := sleep(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
		if answers[0] != answers[1] {
			text := fmt.Sprintf("%s, version %d, %s with input %s: %s answers %s, %s answers %s",
				r.corpus, r.sessions[0].version, q.Path, q.Input,
				r.sessions[0].name, answers[0], r.sessions[1].name, answers[1])
			r.report.Disagreements = append(r.report.Disagreements, oneLine(text))
		}
	}
	return nil
}

// memoryAfterEdits edits a leaf -edits times, on the sidecar alone, and measures its memory.
func (r *editRun) memoryAfterEdits(ctx context.Context) error {
	for _, s := range r.sessions {
		if s.name != sidecarName {
			continue
		}
		for s.edits < r.bench.edits {
			if _, err := r.editOnce(ctx, s, r.leaf()); err != nil {
				return err
			}
		}
		if err := s.waitIdle(ctx, r.deadline); err != nil {
			return err
		}
		if err := r.memory(after(s.edits), []*session{s}); err != nil {
			return err
		}
	}
	return nil
}
