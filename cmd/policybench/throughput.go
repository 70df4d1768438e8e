package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/engine/corpus"

	"golang.org/x/sync/errgroup"
)

// throughput measures decisions per second on two policies: a small one, and one that walks much data.
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
		if err := b.loads(ctx, dir, p.name, questions); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
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
	rate, p50, p99, mallocs, processor []float64
}

func (b *bench) loads(ctx context.Context, dir, name string, questions []corpus.Question) error {
	var programs []*loaded
	defer func() {
		for _, l := range programs {
			l.end()
		}
	}()
	for i, p := range b.loadPeers() {
		running, err := p.start(ctx, filepath.Join(dir, "policy"), filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return err
		}
		l := &loaded{session: newSession(running)}
		programs = append(programs, l)
		for _, q := range questions { // as they must be, before anybody counts how many
			ready, err := l.waitFor(ctx, l.ask(q.Path, q.Input, q.Result), b.deadline)
			if err != nil {
				return err
			}
			if !ready {
				return l.lost(fmt.Errorf("no right answer to %s of %s within %s", q.Path, q.Input, b.deadline))
			}
		}
		if _, err := l.load(ctx, b.connections, b.load/2, questions); err != nil { // warm
			return err
		}
	}
	err := inTurns(ctx, b, "throughput, "+name, programs, func(l *loaded) error { return b.loadOnce(ctx, l, questions) }, nil)
	if err == nil {
		b.addLoad(name, programs)
	}
	return err
}

func (b *bench) loadOnce(ctx context.Context, l *loaded, questions []corpus.Question) error {
	before, errBefore := l.counter(ctx, "go_memstats_mallocs_total")
	ticks, errTicks := l.processorTime()
	begun := time.Now()
	took, err := l.load(ctx, b.connections, b.load, questions)
	if err != nil {
		return err
	}
	seconds := time.Since(begun).Seconds()
	if after, err := l.processorTime(); err == nil && errTicks == nil {
		l.processor = append(l.processor, float64(after-ticks)*microsecondsPerTick/float64(len(took)))
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
	add := func(measure, unit string, more bool, samples func(*loaded) []float64) {
		w := row{Measure: measure, Corpus: name, Unit: unit, More: more, Programs: map[string]summary{}}
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
	add("processor time per decision", "µs", false, func(l *loaded) []float64 { return l.processor })
	add("allocations per decision", "", false, func(l *loaded) []float64 { return l.mallocs })
}

// load asks as fast as answers come, on so many connections, and returns how long each took, sorted,
// in ms. A wrong answer is an error: a wrong answer may well be a fast one.
func (l *loaded) load(ctx context.Context, connections int, d time.Duration, questions []corpus.Question) ([]float64, error) {
	took := make([][]float64, connections)
	group, ctx := errgroup.WithContext(ctx)
	until := time.Now().Add(d)
	for i := range connections {
		group.Go(func() error {
			c := conn{addr: l.addr}
			defer c.close()
			asked, wants := make([]question, len(questions)), make([][]byte, len(questions))
			for j, q := range questions {
				asked[j], wants[j] = l.ask(q.Path, q.Input, ""), []byte(`"result":`+q.Result)
			}
			return c.hold(ctx, d+answerLimit, func() error {
				for j := i; ; j++ {
					begun := time.Now()
					if begun.After(until) {
						return nil
					}
					body, err := c.exchange(asked[j%len(asked)])
					if err != nil {
						return err
					}
					if want := wants[j%len(wants)]; !bytes.Contains(body, want) {
						return fmt.Errorf("%s: %s is answered %.300s, not %s", l.name, asked[j%len(asked)].name, body, want)
					}
					took[i] = append(took[i], milliseconds(time.Since(begun)))
				}
			})
		})
	}
	err := group.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	return all, err
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
