package control_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/control"
	"defenseclaw/engine/corpus"
	"defenseclaw/engine/enginetest"
	"defenseclaw/engine/history"
	"defenseclaw/engine/memfs"
)

// BenchmarkRollback is the order of an operator with 1,000 modules, to its end on disk: to one of the policies that
// served last, which are in memory, and to an entry of the history, which is unpacked and loaded.
func BenchmarkRollback(b *testing.B) {
	for name, others := range map[string]int{"in memory": 1, "from the history": 12} {
		b.Run(name, func(b *testing.B) { benchmarkRollback(b, others) })
	}
}

// benchmarkRollback goes back and forth between the first policy and those that came after it.
func benchmarkRollback(b *testing.B, others int) {
	files, version := corpus.Tenants(1000), 0
	store, err := history.New(history.Config{Dir: filepath.Join(b.TempDir(), "history"), Keep: 1000})
	if err != nil {
		b.Fatal(err)
	}
	g, err := control.Open(control.Config{Path: filepath.Join(b.TempDir(), "control", "pol.json"), History: store})
	if err != nil {
		b.Fatal(err)
	}
	source := func() (fs.FS, error) {
		files[corpus.TenantPath(5)] = corpus.Tenant(5, version)
		return memfs.New(func(yield func(string, []byte) bool) {
			for name, text := range files {
				if !yield(name, []byte(text)) {
					return
				}
			}
		}), nil
	}
	e := enginetest.New(b, engine.Config{Source: source, Govern: g.Govern, Announcements: []engine.Announcement{{
		Name: "history", Timeout: 1 << 40, Run: func(ctx context.Context, r engine.Report) error {
			if r.Trigger.Kind == engine.TriggerControl {
				return nil // the keeper saves in the background
			}
			_, err := store.SaveServed(ctx, history.Served{Generation: r.Generation, Previous: r.Previous})
			return err
		},
	}}})
	g.Attach(e)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	for version = range others + 1 {
		if _, err := e.Reload(ctx, engine.Trigger{Kind: engine.TriggerAPI}); err != nil {
			b.Fatal(err)
		}
	}
	var swapped float64
	for b.Loop() {
		b.StopTimer()
		if _, err := g.Rollback(ctx, ann, control.Target{To: "2"}); err != nil {
			b.Fatal(err)
		}
		for range 9 { // push the first one out of memory, where it is to come from the history
			if others == 1 {
				break
			}
			version++
			if _, err := g.Resume(ctx, ann); err != nil {
				b.Fatal(err)
			}
			if _, err := e.Reload(ctx, engine.Trigger{Kind: engine.TriggerAPI}); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		done, err := g.Rollback(ctx, ann, control.Target{To: "1"})
		if err != nil {
			b.Fatal(err)
		}
		swapped += float64(done.Report.Duration.Microseconds()) / 1000
	}
	b.ReportMetric(swapped/float64(b.N), "swap-ms")
	cancel()
	<-ended
}
