package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// editing measures a scenario: starts, edits of each kind, memory, a storm.
func (b *bench) measureEdits(ctx context.Context, sc scenario) error {
	dir, err := os.MkdirTemp(b.dir, "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // b.dir is removed at the end, and that is looked at
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

// An editRun is the measurement of one scenario.
type editRun struct {
	*bench
	scenario
	dir      string
	sessions []*session
	slowest  time.Duration // edit that went live
}

func (r *editRun) close() {
	for _, s := range r.sessions {
		if s != nil {
			r.closeSession(s)
		}
	}
}

// leave ends a session and keeps what went wrong in it.
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

// start starts the programs in turns, several times; the last ones of each live on as the sessions.
func (r *editRun) start(ctx context.Context) error {
	peers := r.peers()
	r.sessions = make([]*session, len(peers))
	indices := make([]int, len(peers))
	took := map[string][]float64{}
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
		live, err := s.waitFor(ctx, s.ask(r.steady[0], r.steady[1], r.steady[2]), r.deadline)
		if err != nil {
			return err
		}
		if !live {
			return s.withLog(fmt.Errorf("no right answer to %s within %s of its start", r.steady[0], r.deadline))
		}
		took[p.name] = append(took[p.name], milliseconds(time.Since(started)))
		return s.waitIdle(ctx, r.deadline)
	}, nil)
	if err == nil {
		r.row("start to first answer", "ms", summaries(took))
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

// memory tells what programs have in memory, where that can be known.
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
	if when != atStart { // when it is what it is now
		r.row("peak memory "+when, "MB", summaries(peak))
	}
	return nil
}

func (r *editRun) edits(ctx context.Context) error {
	longest, first := map[string][]float64{}, map[string][]float64{}
	for _, k := range r.kinds {
		took, never := map[string][]float64{}, map[string]int{}
		err := alternate(ctx, r.bench, r.corpus+": "+k.name, r.sessions, func(s *session) error {
			for range s.beginRound() {
				e, err := r.editOnce(ctx, s, k)
				if err != nil {
					return err
				}
				longest[s.name] = append(longest[s.name], milliseconds(e.maxDecision))
				if e.live {
					r.slowest = max(r.slowest, e.toLive)
					took[s.name] = append(took[s.name], milliseconds(e.toLive))
					first[s.name] = append(first[s.name], milliseconds(e.firstDecision))
				} else {
					never[s.name]++
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
		programs := summaries(took)
		for name, n := range never {
			s := programs[name]
			s.NeverLive = n
			programs[name] = s
		}
		r.row(k.measure(), "ms", programs)
	}
	r.row("longest decision during these edits", "ms", summaries(longest))
	r.row("first decision after these edits", "ms", summaries(first))
	return nil
}

// beginRound says how many edits of a round are this program's: one, but three of the sidecar's, since
// one of opa's may take as long as hundreds of its. All end a round at the same version.
func (s *session) beginRound() (edits int) {
	const each = 3
	if s.name == sidecarName {
		return each
	}
	s.version += each - 1
	return 1
}

func (r *editRun) editOnce(ctx context.Context, s *session, k kind) (editResult, error) {
	s.version++
	path, text, probe, want := k.next(s.version)
	rule := r.questions[firstQuestion]
	c := change{path: path, text: text, shows: s.ask(probe, "", want), first: s.ask(rule[0], rule[1], "")}
	return s.edit(ctx, c, k.by(stagingDir(r.home(s.name))), s.ask(r.steady[0], r.steady[1], r.steady[2]), r.deadline)
}

// compare asks all programs the same questions and keeps what they answer differently.
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
				if answers[i], err = s.poll.result(ctx, s.ask(q[0], q[1], "")); err != nil {
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
			r.report.Disagreements = append(r.report.Disagreements, oneLine(fmt.Sprintf("%s, version %d, %s of %s: %s says %s, %s says %s",
				r.corpus, r.sessions[0].version, q[0], q[1], r.sessions[0].name, answers[0], r.sessions[1].name, answers[1])))
		}
	}
	return nil
}

// memoryAfterEdits edits a leaf on this sidecar alone, and reads what that did to its memory.
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
