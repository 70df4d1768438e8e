package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"defenseclaw/engine/corpus"
)

const (
	stormInterval = 50 * time.Millisecond // between edits of a storm
	stormFiles    = 5                     // number of tenants that a storm edits
	catchUpLimit  = 15 * time.Second      // for the last edit of a storm to go live
)

// storms measures decisions in a quiet phase and in a storm of edits. It must be the last comparison, since
// opa goes on reloading for minutes.
func (r *editRun) storms(ctx context.Context) error {
	duration := r.stormDuration()
	quiet, storm := map[string][]float64{}, map[string][]float64{}
	quietMax, stormMax, last := map[string][]float64{}, map[string][]float64{}, map[string]summary{}
	for _, s := range r.sessions {
		latencies, err := s.decisionsDuring(ctx, r.steady, func() error { return sleep(ctx, duration) })
		if err != nil {
			return err
		}
		p999, longest := tail(latencies)
		quiet[s.name], quietMax[s.name] = []float64{p999}, []float64{longest}
	}
	for i := range r.sessions {
		s := r.sessions[len(r.sessions)-1-i] // opa is last, since it keeps the machine busy
		var newest corpus.Question
		latencies, err := s.decisionsDuring(ctx, r.steady, func() (err error) {
			newest, err = r.saveRepeatedly(ctx, s, duration)
			return err
		})
		if err != nil {
			return err
		}
		p999, longest := tail(latencies)
		storm[s.name], stormMax[s.name] = []float64{p999}, []float64{longest}
		started := time.Now()
		live, err := s.waitFor(ctx, newest, catchUpLimit)
		if err != nil {
			return err
		}
		last[s.name] = summary{NeverLive: 1}
		if live {
			last[s.name] = summarise([]float64{milliseconds(time.Since(started))})
		}
	}
	r.row("quiet: 99.9th percentile of decisions", "ms", summaries(quiet))
	note := ""
	for _, s := range r.sessions {
		if note != "" {
			note += ", "
		}
		note += fmt.Sprintf("%s: %s times its quiet phase", s.name, number(storm[s.name][0]/quiet[s.name][0]))
	}
	r.report.add(row{
		Measure: "storm of edits: 99.9th percentile", Corpus: r.corpus, Unit: "ms", Programs: summaries(storm), Note: note,
	})
	r.row("quiet: longest decision", "ms", summaries(quietMax))
	r.row("storm of edits: longest decision", "ms", summaries(stormMax))
	r.report.add(row{
		Measure: "storm of edits: its last edit to live", Corpus: r.corpus, Unit: "ms", Programs: last,
		Note: fmt.Sprintf("never live means not within %s here", catchUpLimit),
	})
	fmt.Fprintf(r.progress, "%6.0fs  %s: storm: done\n", time.Since(r.started).Seconds(), r.corpus)
	return nil
}

// tail returns the 99.9th percentile, corrected for coordinated omission, and the maximum, in ms.
func tail(latencies []time.Duration) (p999, longest float64) {
	all := correctCoordinatedOmission(latencies, steadyInterval)
	return quantile(all, 0.999), quantile(all, 1)
}

// stormDuration returns the length of the storm, and of the quiet phase before it. It is long enough for a
// reload of opa, which delays decisions at its end, but at most a minute.
func (r *editRun) stormDuration() time.Duration {
	return max(r.bench.storm, min(2*r.slowest, time.Minute))
}

// saveRepeatedly edits tenants for the duration, and returns the question that shows the last edit.
func (r *editRun) saveRepeatedly(
	ctx context.Context, s *session, duration time.Duration,
) (newest corpus.Question, err error) {
	for until := time.Now().Add(duration); time.Now().Before(until); {
		s.version++
		s.edits++
		tenant := editedTenant + s.version%stormFiles
		path := filepath.Join(s.policy, filepath.FromSlash(corpus.TenantPath(tenant)))
		if err := renameSave(path, corpus.Tenant(tenant, s.version)); err != nil {
			return newest, err
		}
		newest = corpus.Question{Path: tenantDoc(tenant, "version"), Result: fmt.Sprint(s.version)}
		if err := sleep(ctx, stormInterval); err != nil {
			return newest, err
		}
	}
	return newest, nil
}
