package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"defenseclaw/engine/corpus"
)

// throughput measures decisions per second on two policies: a small one, and one that walks much data.
// Each is measured twice: with a processor for the program and one for the load, which then takes nothing
// from what it measures, and with all processors for both.
func (b *bench) throughput(ctx context.Context) error {
	for _, p := range []struct {
		name string
		make func() (map[string]string, []corpus.Question)
	}{
		{"a small policy", corpus.Small},
		{fmt.Sprintf("a policy that walks %d MB of data", b.heavyBytes/megabyte), func() (map[string]string, []corpus.Question) { return corpus.Grants(b.heavyBytes) }},
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

// loadPeers are the programs under load, opa in the ways of running it that make it faster as well.
func (b *bench) loadPeers() []peer {
	peers := b.peers()
	if b.opa == "" {
		return peers
	}
	return append(peers,
		b.opaPeer(opaName+" GOGC=400", []string{"GOGC=400"}),
		b.opaPeer(readOptimised, []string{"GOGC=400"}, "--optimize-store-for-read-speed"))
}

// microsecondsPerTick is of Linux, which tells user programs of a hundred ticks a second on every machine.
const microsecondsPerTick = 10_000

// readOptimised has rows of its own: it makes opa's reloads and its memory worse, and nobody who does not
// know of it has it.
const readOptimised = opaName + " GOGC=400, store read-optimised"

// A loaded program is one under load, and what was measured of it.
type loaded struct {
	*session
	loadCPU int // the processor of the load, where the program is pinned to another

	rate, p50, p99, mallocs, cpuTime []float64
}

func (b *bench) measureLoad(ctx context.Context, dir, name string, pinned bool, questions []corpus.Question) error {
	var cpu, loadCPU int
	if pinned {
		name += ", a processor each"
		var err error
		if cpu, loadCPU, err = twoCPUs(); err != nil {
			fmt.Fprintf(b.progress, "policybench: not measured: %s: %v\n", name, err)
			return nil
		}
	}
	var programs []*loaded
	defer func() {
		for _, l := range programs {
			l.close()
		}
	}()
	for i, p := range b.loadPeers() {
		p.pinned, p.cpu = pinned, cpu
		running, err := p.start(ctx, filepath.Join(dir, "policy"), filepath.Join(dir, fmt.Sprint(i, pinned)))
		if err != nil {
			return err
		}
		l := &loaded{session: newSession(running), loadCPU: loadCPU}
		programs = append(programs, l)
		for _, q := range questions { // as they must be, before anybody counts how many
			ready, err := l.waitFor(ctx, l.ask(q.Path, q.Input, q.Result), b.deadline)
			if err != nil {
				return err
			}
			if !ready {
				return l.withLog(fmt.Errorf("no right answer to %s of %s within %s", q.Path, q.Input, b.deadline))
			}
		}
		if _, err := l.underLoad(ctx, b.connections, b.load/2, questions); err != nil { // warm
			return err
		}
	}
	err := alternate(ctx, b, "throughput, "+name, programs, func(l *loaded) error { return b.loadOnce(ctx, l, questions) }, nil)
	if err == nil {
		b.addLoad(name, programs)
	}
	return err
}

func (b *bench) loadOnce(ctx context.Context, l *loaded, questions []corpus.Question) error {
	before, errBefore := l.counter(ctx, "go_memstats_mallocs_total")
	ticks, errTicks := l.cpuTicks()
	started := time.Now()
	took, err := l.underLoad(ctx, b.connections, b.load, questions)
	if err != nil {
		return err
	}
	seconds := time.Since(started).Seconds()
	if after, err := l.cpuTicks(); err == nil && errTicks == nil {
		l.cpuTime = append(l.cpuTime, float64(after-ticks)*microsecondsPerTick/float64(len(took)))
	}
	after, errAfter := l.counter(ctx, "go_memstats_mallocs_total")
	l.rate = append(l.rate, float64(len(took))/seconds)
	l.p50 = append(l.p50, quantile(took, 0.5))
	l.p99 = append(l.p99, quantile(took, 0.99))
	if errBefore == nil && errAfter == nil {
		l.mallocs = append(l.mallocs, (after-before)/float64(len(took)))
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

// take puts the program under load, and returns how long each decision took, sorted, in ms.
func (l *loaded) underLoad(ctx context.Context, connections int, d time.Duration, questions []corpus.Question) (took []float64, err error) {
	expected := l.expectations(questions)
	if !l.pinned {
		return l.load(ctx, connections, d, expected)
	}
	err = onCPU(l.loadCPU, func() error {
		took, err = l.load(ctx, connections, d, expected)
		return err
	})
	return took, err
}

// expectation is a question of a load, and what its right answer has in it.
type expectation struct {
	question
	part []byte
}

func (l *loaded) expectations(questions []corpus.Question) []expectation {
	es := make([]expectation, len(questions))
	for i, q := range questions {
		es[i] = expectation{l.ask(q.Path, q.Input, ""), []byte(`"result":` + q.Result)}
	}
	return es
}

// counter reads one of the program's metrics.
func (l *loaded) counter(ctx context.Context, name string) (float64, error) {
	body, err := l.poll.do(ctx, question{name: "metrics", request: l.request("GET", "/metrics", "")})
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
