package engine_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/corpus"
	"defenseclaw/engine/enginetest"
	"defenseclaw/engine/source"
)

// BenchmarkReloadLeafEditOnDisk is what a watch sets off after a rename-save, without the watch: the
// attempt from the look at the directory to the swap, and how long each of its phases takes.
func BenchmarkReloadLeafEditOnDisk(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			benchmarkReload(b, corpus.Tenants(n), corpus.TenantPath(5), func(version int) string { return corpus.Tenant(5, version) })
		})
	}
}

// BenchmarkReloadDataEditOnDisk is the same after one value of a large data.json has been changed.
func BenchmarkReloadDataEditOnDisk(b *testing.B) {
	for _, mb := range []int{1, 12, 120} {
		b.Run(fmt.Sprintf("MB=%d", mb), func(b *testing.B) {
			benchmarkReload(b, corpus.Tenants(10), "data.json", func(version int) string { return corpus.Users(mb*1_000_000, version) })
		})
	}
}

// benchmarkReload saves one version after the other of the file at path, beside the others.
func benchmarkReload(b *testing.B, files map[string]string, path string, text func(version int) string) {
	dir := b.TempDir()
	save := func(path, text string) {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.Rename(path+"~", path); err != nil {
			b.Fatal(err)
		}
	}
	for path, text := range files {
		save(path, text)
	}
	save(path, text(0))
	e := enginetest.New(b, engine.Config{Source: func() (fs.FS, error) { return source.Open(dir, source.Config{}) }})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	reload := func(trigger engine.Trigger) engine.Report {
		report, err := e.Reload(ctx, trigger)
		if err != nil {
			b.Fatal(err)
		}
		return report
	}
	time.Sleep(2500 * time.Millisecond) // younger files are read every time: their stats may miss a change
	reload(engine.Trigger{Kind: engine.TriggerStartup})
	phases, version := map[string]time.Duration{}, 0
	for b.Loop() {
		b.StopTimer()
		version++
		save(path, text(version))
		b.StartTimer()
		report := reload(engine.Trigger{Kind: engine.TriggerWatch, Paths: []string{path}})
		if report.Result != engine.Success {
			b.Fatalf("%s: %v", report.Result, report.Refused)
		}
		for _, p := range report.Phases {
			phases[p.Name] += p.Duration
		}
	}
	for name, d := range phases {
		b.ReportMetric(float64(d.Microseconds())/1000/float64(version), name+"-ms")
	}
	cancel()
	<-ended
}
