package fleetproof_test

import (
	"context"
	"maps"
	"os"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/engine/corpus"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// measureSidecar measures one sidecar, which is the program, as it follows edits of one module among many. Its clock and the
// publisher's are the same.
func measureSidecar(t *testing.T, r *report, modules int) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	broker := fleettest.StartProcess(t, fleettest.ProcessConfig{})
	s := newSite(t, broker.URL())
	l := s.link(broker.URL())
	text, err := os.ReadFile(s.key())
	must(err)
	by, err := fleet.ReadSigners(text)
	must(err)
	all := map[string][]byte{}
	for name, text := range corpus.Tenants(modules) {
		all[name] = []byte(text)
	}
	published := func(version int) (p fleet.Published, began, signed time.Time) {
		t.Helper()
		all[corpus.TenantPath(7)] = []byte(corpus.Tenant(7, version))
		set := delta.NewSet(maps.All(all))
		files := fleet.Files{Set: set, Revision: engineRevision(set)}
		began = time.Now()
		now, err := l.Now(ctx, "prod", by.Keys())
		must(err)
		p, err = l.Publish(ctx, fleet.Draft{After: now, Files: files, Shape: func(*record.Record) error { signed = time.Now(); return nil }}, by)
		must(err)
		return p, began, signed
	}
	served := func(p fleet.Published) (since, acked time.Time) {
		t.Helper()
		v, err := l.Wait(ctx, p.Now, fleet.Question{}, 1)
		must(err)
		if !v.Converged(1) {
			t.Fatal(v)
		}
		return v.Agents[0].Since, time.Now()
	}

	p, _, _ := published(0)
	started := time.Now()
	s.sidecar("a1", "")
	_, acked := served(p)
	r.add("sidecar starts, loads all and has acked", "s", 1, acked.Sub(started).Seconds())
	var signing, acking, publishing, messages []float64
	for version := range 20 {
		p, began, signed := published(version + 1)
		since, acked := served(p)
		signing = append(signing, ms(since.Sub(signed)))
		acking = append(acking, ms(acked.Sub(signed)))
		publishing = append(publishing, ms(acked.Sub(began)))
		messages = append(messages, float64(p.Message))
	}
	r.add("sidecar: record is signed → serves", "ms", 1, signing...)
	r.add("sidecar: record is signed → acked", "ms", 1, acking...)
	r.add("sidecar: publish begins → acked", "ms", 1, publishing...)
	r.add("message of an edit", "B", 1, messages...)
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }
