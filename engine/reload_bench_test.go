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
)

// BenchmarkReloadLeafEditOnDisk is what a watch sets off after a rename-save, without the watch: the
// attempt from the look at the directory to the swap, and how long each of its phases takes.
func BenchmarkReloadLeafEditOnDisk(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
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
			for path, text := range corpus.Tenants(n) {
				save(path, text)
			}
			e, err := engine.New(engine.Config{Source: func() (fs.FS, error) { return engine.OpenDir(dir, engine.DirConfig{}) }})
			if err != nil {
				b.Fatal(err)
			}
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
			path := corpus.TenantPath(5)
			phases, version := map[string]time.Duration{}, 0
			for b.Loop() {
				b.StopTimer()
				version++
				save(path, corpus.Tenant(5, version))
				b.StartTimer()
				report := reload(engine.Trigger{Kind: engine.TriggerWatch, Paths: []string{path}})
				if report.Status != engine.StatusSuccess {
					b.Fatalf("%s: %v", report.Status, report.Refused)
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
		})
	}
}
