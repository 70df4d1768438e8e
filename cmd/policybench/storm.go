package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"defenseclaw/engine/corpus"
)

const (
	stormPause   = 50 * time.Millisecond // between two edits of a storm
	stormFiles   = 5                     // tenants that it edits in turn
	catchUpLimit = 15 * time.Second      // that the last edit of a storm may take to be seen
)

// storms measures decisions in quiet, and while edits come faster than anybody can make them. The
// comparison ends with it: opa goes on reloading for minutes.
func (r *editRun) storms(ctx context.Context) error {
	duration := r.stormDuration()
	quiet, storm := map[string][]float64{}, map[string][]float64{}
	quietMax, stormMax, last := map[string][]float64{}, map[string][]float64{}, map[string]summary{}
	for _, s := range r.sessions {
		took, err := s.decisionsDuring(ctx, s.ask(r.steady[0], r.steady[1], r.steady[2]), func() error { return sleep(ctx, duration) })
		if err != nil {
			return err
		}
		p999, longest := tail(took)
		quiet[s.name], quietMax[s.name] = []float64{p999}, []float64{longest}
	}
	for i := range r.sessions {
		s := r.sessions[len(r.sessions)-1-i] // opa last: it would keep the machine busy
		var newest question
		took, err := s.decisionsDuring(ctx, s.ask(r.steady[0], r.steady[1], r.steady[2]), func() (err error) {
			newest, err = r.saveRepeatedly(ctx, s, duration)
			return err
		})
		if err != nil {
			return err
		}
		p999, longest := tail(took)
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
		note += fmt.Sprintf("%s: %s times its quiet", s.name, number(storm[s.name][0]/quiet[s.name][0]))
	}
	r.report.add(row{Measure: "storm of edits: 99.9th percentile", Corpus: r.corpus, Unit: "ms", Programs: summaries(storm), Note: note})
	r.row("quiet: longest decision", "ms", summaries(quietMax))
	r.row("storm of edits: longest decision", "ms", summaries(stormMax))
	r.report.add(row{
		Measure: "storm of edits: its last edit to live", Corpus: r.corpus, Unit: "ms", Programs: last,
		Note: fmt.Sprintf("a program that needs more than %s counts as never live here", catchUpLimit),
	})
	fmt.Fprintf(r.progress, "%6.0fs  %s: storm: done\n", time.Since(r.started).Seconds(), r.corpus)
	return nil
}

// tail is the 99.9th percentile, with those that could not ask meanwhile, and the longest, in ms.
func tail(took []time.Duration) (p999, longest float64) {
	all := correctCoordinatedOmission(took, steadyPause)
	return quantile(all, 0.999), quantile(all, 1)
}

// stormDuration is how long the storm and the quiet before it last: long enough for a reload of opa's, which
// makes decisions wait at its end, but no longer than a minute.
func (r *editRun) stormDuration() time.Duration {
	return max(r.bench.storm, min(2*r.slowest, time.Minute))
}

// saveRepeatedly saves one tenant after the other for as long, and returns how the last edit shows.
func (r *editRun) saveRepeatedly(ctx context.Context, s *session, duration time.Duration) (newest question, err error) {
	for until := time.Now().Add(duration); time.Now().Before(until); {
		s.version++
		s.edits++
		tenant := editedTenant + s.version%stormFiles
		path := filepath.Join(s.policy, filepath.FromSlash(corpus.TenantPath(tenant)))
		if err := renameSave(path, corpus.Tenant(tenant, s.version)); err != nil {
			return newest, err
		}
		newest = s.ask(tenantDoc(tenant, "version"), "", fmt.Sprint(s.version))
		if err := sleep(ctx, stormPause); err != nil {
			return newest, err
		}
	}
	return newest, nil
}
