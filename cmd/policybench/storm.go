package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"defenseclaw/engine/corpus"
)

const (
	stormPause = 50 * time.Millisecond // between two edits of a storm
	stormFiles = 5                     // tenants that it edits in turn
	catchUp    = 15 * time.Second      // that the last edit of a storm may take to be seen
)

// storms measures decisions in quiet, and while edits come faster than anybody can make them. The
// comparison ends with it: opa goes on reloading for minutes.
func (r *editRun) storms(ctx context.Context) error {
	lasts := r.stormLasts()
	quiet, storm := map[string][]float64{}, map[string][]float64{}
	quietest, longest, last := map[string][]float64{}, map[string][]float64{}, map[string]summary{}
	for _, s := range r.sessions {
		took, err := s.meanwhile(ctx, s.ask(r.steady[0], r.steady[1], r.steady[2]), func() error { return pause(ctx, lasts) })
		if err != nil {
			return err
		}
		p999, most := tail(took)
		quiet[s.name], quietest[s.name] = []float64{p999}, []float64{most}
	}
	for i := range r.sessions {
		s := r.sessions[len(r.sessions)-1-i] // opa last: it would keep the machine busy
		var newest question
		took, err := s.meanwhile(ctx, s.ask(r.steady[0], r.steady[1], r.steady[2]), func() (err error) {
			newest, err = r.saveOn(ctx, s, lasts)
			return err
		})
		if err != nil {
			return err
		}
		p999, most := tail(took)
		storm[s.name], longest[s.name] = []float64{p999}, []float64{most}
		begun := time.Now()
		live, err := s.waitFor(ctx, newest, catchUp)
		if err != nil {
			return err
		}
		last[s.name] = summary{NeverLive: 1}
		if live {
			last[s.name] = summarise([]float64{milliseconds(time.Since(begun))})
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
	r.row("quiet: longest decision", "ms", summaries(quietest))
	r.row("storm of edits: longest decision", "ms", summaries(longest))
	r.report.add(row{
		Measure: "storm of edits: its last edit to live", Corpus: r.corpus, Unit: "ms", Programs: last,
		Note: fmt.Sprintf("a program that needs more than %s counts as never live here", catchUp),
	})
	fmt.Fprintf(r.say, "%6.0fs  %s: storm: done\n", time.Since(r.begun).Seconds(), r.corpus)
	return nil
}

// tail is the 99.9th percentile, with those that could not ask meanwhile, and the longest, in ms.
func tail(took []time.Duration) (p999, longest float64) {
	all := withTheUnasked(took, steadyPause)
	return quantile(all, 0.999), quantile(all, 1)
}

// stormLasts is how long the storm and the quiet before it last: long enough for a reload of opa's, which
// makes decisions wait at its end, but no longer than a minute.
func (r *editRun) stormLasts() time.Duration {
	return max(r.bench.storm, min(2*r.slowest, time.Minute))
}

// saveOn saves one tenant after the other for as long, and returns how the last edit shows.
func (r *editRun) saveOn(ctx context.Context, s *session, lasts time.Duration) (newest question, err error) {
	for until := time.Now().Add(lasts); time.Now().Before(until); {
		s.version++
		s.edits++
		tenant := editedTenant + s.version%stormFiles
		path := filepath.Join(s.policy, filepath.FromSlash(corpus.TenantPath(tenant)))
		if err := renameSave(path, corpus.Tenant(tenant, s.version)); err != nil {
			return newest, err
		}
		newest = s.ask(tenantDoc(tenant, "version"), "", fmt.Sprint(s.version))
		if err := pause(ctx, stormPause); err != nil {
			return newest, err
		}
	}
	return newest, nil
}
