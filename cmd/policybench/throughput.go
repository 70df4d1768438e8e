package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"defenseclaw/engine/corpus"
)

// throughput measures decisions per second on two policies, a small one and one that walks a large document.
// It measures each twice: with one CPU for the program and another for the load, so that the load takes
// nothing from the program, and with all CPUs for both.
func (b *bench) throughput(ctx context.Context) error {
	for _, p := range []struct {
		name string
		make func() (map[string]string, []corpus.Question)
	}{
		{"a small policy", corpus.Small},
		{
			fmt.Sprintf("a policy that walks %d MB of data", b.heavyBytes/megabyte),
			func() (map[string]string, []corpus.Question) { return corpus.Grants(b.heavyBytes) },
		},
	} {
		files, questions := p.make()
		dir := filepath.Join(b.dir, strings.ReplaceAll(p.name, " ", "-"))
		if err := writeFiles(filepath.Join(dir, "policy"), files); err != nil {
			return err
		}
		for _, pinned := range []bool{true, false} {
			if err := b.measureLoad(ctx, dir, p.name, pinned, questions); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return nil
}

// loadPeers returns the programs to put under load: the sidecar, and opa with and without faster settings.
func (b *bench) loadPeers() []peer {
	peers := b.peers()
	if b.opa == "" {
		return peers
	}
	return append(peers,
		b.opaPeer(opaName+" GOGC=400", []string{"GOGC=400"}),
		b.opaPeer(readOptimised, []string{"GOGC=400"}, "--optimize-store-for-read-speed"))
}

// microsecondsPerTick is that of Linux, which reports CPU time to user programs in ticks of 1/100 s.
const microsecondsPerTick = 10_000

// readOptimised has rows of its own: it is not the default, and costs opa memory and reload time.
const readOptimised = opaName + " GOGC=400, store read-optimised"

// A loaded program is a program under load, with its measurements.
type loaded struct {
	*session
	loadCPU int // CPU of the load generator, if the program is pinned to another

	rate, p50, p99, mallocs, cpuTime []float64
}

// placement says on which CPUs a program and the load run.
type placement struct {
	pinned        bool // false: on all of them
	program, load int
}

func (b *bench) measureLoad(
	ctx context.Context, dir, name string, pinned bool, questions []corpus.Question,
) error {
	cpus := placement{pinned: pinned}
	if pinned {
		name += ", a processor each"
		var err error
		if cpus.program, cpus.load, err = twoCPUs(); err != nil {
			fmt.Fprintf(b.progress, "policybench: not measured: %s: %v\n", name, err)
			return nil
		}
	}
	programs, err := b.startLoaded(ctx, dir, cpus)
	defer closeAll(programs)
	if err != nil {
		return err
	}
	for _, l := range programs {
		for _, q := range questions { // only correct answers count
			ready, err := l.waitFor(ctx, q, b.deadline)
			if err != nil {
				return err
			}
			if !ready {
				return l.withLog(fmt.Errorf("no correct answer to %s with input %s within %s", q.Path, q.Input, b.deadline))
			}
		}
		if _, err := l.underLoad(ctx, b.connections, b.load/2, questions); err != nil { // warm
			return err
		}
	}
	measure := func(l *loaded) error { return b.loadOnce(ctx, l, questions) }
	err = alternate(ctx, b, "throughput, "+name, programs, measure, nil)
	if err == nil {
		b.addLoad(name, programs)
	}
	return err
}

// startLoaded starts the programs to put under load on dir's policy. The caller closes those that it returns, also with an
// error.
func (b *bench) startLoaded(ctx context.Context, dir string, cpus placement) (programs []*loaded, err error) {
	for i, p := range b.loadPeers() {
		p.pinned, p.cpu = cpus.pinned, cpus.program
		running, err := p.start(ctx, filepath.Join(dir, "policy"), filepath.Join(dir, fmt.Sprint(i, cpus.pinned)))
		if err != nil {
			return programs, err
		}
		programs = append(programs, &loaded{session: newSession(running), loadCPU: cpus.load})
	}
	return programs, nil
}

func closeAll(programs []*loaded) {
	for _, l := range programs {
		l.close()
	}
}

func (b *bench) loadOnce(ctx context.Context, l *loaded, questions []corpus.Question) error {
	before, errBefore := l.counter(ctx, "go_memstats_mallocs_total")
	ticks, errTicks := l.cpuTicks()
	started := time.Now()
	latencies, err := l.underLoad(ctx, b.connections, b.load, questions)
	if err != nil {
		return err
	}
	seconds := time.Since(started).Seconds()
	if after, err := l.cpuTicks(); err == nil && errTicks == nil {
		l.cpuTime = append(l.cpuTime, float64(after-ticks)*microsecondsPerTick/float64(len(latencies)))
	}
	after, errAfter := l.counter(ctx, "go_memstats_mallocs_total")
	l.rate = append(l.rate, float64(len(latencies))/seconds)
	l.p50 = append(l.p50, quantile(latencies, 0.5))
	l.p99 = append(l.p99, quantile(latencies, 0.99))
	if errBefore == nil && errAfter == nil {
		l.mallocs = append(l.mallocs, (after-before)/float64(len(latencies)))
	}
	return nil
}

func (b *bench) addLoad(name string, programs []*loaded) {
	add := func(measure, unit string, moreIsBetter bool, samples func(*loaded) []float64) {
		w := row{Measure: measure, Corpus: name, Unit: unit, MoreIsBetter: moreIsBetter, Programs: map[string]summary{}}
		optimised := w
		optimised.Programs = map[string]summary{}
		for _, l := range programs {
			s := summarise(samples(l))
			if l.name != readOptimised {
				w.Programs[l.name] = s
			}
			if l.name == readOptimised || l.name == sidecarName {
				optimised.Programs[l.name] = s
			}
		}
		b.report.add(w)
		if len(optimised.Programs) > 1 {
			b.report.add(optimised)
		}
	}
	add("throughput", "/s", true, func(l *loaded) []float64 { return l.rate })
	add("throughput: median latency", "ms", false, func(l *loaded) []float64 { return l.p50 })
	add("throughput: 99th percentile", "ms", false, func(l *loaded) []float64 { return l.p99 })
	add("processor time per decision", "µs", false, func(l *loaded) []float64 { return l.cpuTime })
	add("allocations per decision", "", false, func(l *loaded) []float64 { return l.mallocs })
}

// underLoad puts the program under load for d, and returns the latencies of its decisions in ms, sorted.
func (l *loaded) underLoad(
	ctx context.Context, connections int, d time.Duration, questions []corpus.Question,
) (latencies []float64, err error) {
	expected := l.expectations(questions)
	if !l.pinned {
		return l.load(ctx, connections, d, expected)
	}
	err = onCPU(l.loadCPU, func() error {
		latencies, err = l.load(ctx, connections, d, expected)
		return err
	})
	return latencies, err
}

// expectation is a request and a part of its correct answer.
type expectation struct {
	request
	part []byte
}

func (l *loaded) expectations(questions []corpus.Question) []expectation {
	es := make([]expectation, len(questions))
	for i, q := range questions {
		es[i] = expectation{l.dataRequest(q), []byte(`"result":` + q.Result)}
	}
	return es
}

// counter returns the value of a metric of the program.
func (l *loaded) counter(ctx context.Context, name string) (float64, error) {
	body, err := l.poll.do(ctx, l.request(http.MethodGet, "/metrics", ""))
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(body)); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", l.name, name)
}
