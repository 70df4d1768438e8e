//go:build unix

package replay_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"defenseclaw/engine/corpus"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

// BenchmarkReplay replays 10,000 records of 1,000 tenants after an edit of one tenant, of a library that a quarter of them
// use, and of data that all read. cpu-ms is the processor time of the process, the collector's included.
func BenchmarkReplay(b *testing.B) {
	const tenants, decisions = 1000, 10_000
	base := load(b, corpus.Tenants(tenants), nil)
	random := rand.New(rand.NewPCG(1, 2))
	var recs []records.Record
	for i := range decisions {
		tenant := i % tenants
		rule := []string{"allow", "reasons"}[i/tenants%2]
		recs = append(recs, decide(b, base, fmt.Sprintf("tenants/t%d/%s", tenant, rule), request(random, tenant))...)
	}
	for _, c := range []struct {
		name string
		edit files
	}{
		{"leaf", edit2(corpus.TenantPath(5), corpus.Tenant(5, 0), "input.tenant ==", "input.tenant !=")},
		{"library", edit2(corpus.LibraryPath(2), corpus.Library(2, 0), "size <= data.limits.size + 0", "size <= data.limits.size - 96")},
		{"all", files{"data.json": `{"limits": {"requests": 100, "size": 4096}, "regions": ["eu", "us", "cn"]}`}},
	} {
		candidate := load(b, files(corpus.Tenants(tenants)).with(c.edit), base)
		b.Run(c.name, func(b *testing.B) {
			begun := processorTime(b)
			for b.Loop() {
				r := run(b, base, candidate, recs, replay.Options{})
				b.ReportMetric(float64(r.Reached), "reached")
				b.ReportMetric(float64(r.Total()), "flips")
			}
			b.ReportMetric(float64((processorTime(b)-begun).Microseconds())/1000/float64(b.N), "cpu-ms")
		})
	}
}

// BenchmarkReplayOfOlderRecords replays records of an older policy than the base, as most are: once as they are, and once
// with the answers of the base that an earlier replay gave.
func BenchmarkReplayOfOlderRecords(b *testing.B) {
	const tenants, decisions = 1000, 10_000
	base := load(b, corpus.Tenants(tenants), nil)
	random := rand.New(rand.NewPCG(1, 2))
	var recs []records.Record
	for i := range decisions {
		tenant := i % tenants
		recs = append(recs, decide(b, base, fmt.Sprintf("tenants/t%d/allow", tenant), request(random, tenant))...)
		recs[i].Revision = "sha256:older"
	}
	known := map[int]replay.Answer{}
	edit := files{"data.json": `{"limits": {"requests": 100, "size": 4096}, "regions": ["eu", "us", "cn"]}`}
	candidate := load(b, files(corpus.Tenants(tenants)).with(edit), base)
	for i := range recs {
		known[i] = replay.Answer{Result: recs[i].Result, Failure: recs[i].Error}
	}
	for name, baseline := range map[string]func(int) (replay.Answer, bool){
		"evaluated": nil, "remembered": func(i int) (replay.Answer, bool) { a, ok := known[i]; return a, ok },
	} {
		b.Run(name, func(b *testing.B) {
			begun := processorTime(b)
			for b.Loop() {
				b.ReportMetric(float64(run(b, base, candidate, recs, replay.Options{Baseline: baseline}).Total()), "flips")
			}
			b.ReportMetric(float64((processorTime(b)-begun).Microseconds())/1000/float64(b.N), "cpu-ms")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCover evaluates 10,000 records of 1,000 tenants with every clause.
func BenchmarkCover(b *testing.B) {
	const tenants, decisions = 1000, 10_000
	g := load(b, corpus.Tenants(tenants), nil)
	random := rand.New(rand.NewPCG(1, 2))
	var recs []records.Record
	for i := range decisions {
		recs = append(recs, decide(b, g, fmt.Sprintf("tenants/t%d/%s", i%tenants, []string{"allow", "reasons"}[i/tenants%2]), request(random, i%tenants))...)
	}
	begun := processorTime(b)
	for b.Loop() {
		b.ReportMetric(float64(cover(b, g, recs, replay.Options{}).Evaluated), "evaluated")
	}
	b.ReportMetric(float64((processorTime(b)-begun).Microseconds())/1000/float64(b.N), "cpu-ms")
}
