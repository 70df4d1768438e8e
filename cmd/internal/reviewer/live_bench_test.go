package reviewer_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/engine"
	"defenseclaw/engine/corpus"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"

	"go.uber.org/zap"
)

const (
	benchTenants = 1000
	benchRecords = 10_000
	// everyone is an edit that every tenant reads, so that every record is made again.
	everyone = `{"limits": {"requests": 100, "size": 4096}, "regions": ["eu", "us", "cn"]}`
)

// benchRequest is a request of a tenant, as the corpus has them.
func benchRequest(random *rand.Rand, tenant int) string {
	return fmt.Sprintf(`{"tenant":%d,"user":{"roles":["%s"]},"method":"%s","size":%d,"region":"%s","port":%d}`, tenant,
		[]string{"admin", "reader", "writer"}[random.IntN(3)], []string{"GET", "POST", "DELETE"}[random.IntN(3)], random.IntN(8192),
		[]string{"eu", "us", "cn"}[random.IntN(3)], random.IntN(9000))
}

// benchPolicies are 1,000 modules before and after an edit, and 10,000 decisions that were made before.
func benchPolicies(t testing.TB) (base, candidate *engine.Generation, recs []records.Record) {
	t.Helper()
	files := corpus.Tenants(benchTenants)
	before := loadFiles(t, files, side{})
	files["data.json"] = everyone
	after := loadFiles(t, files, before)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range benchRecords {
		tenant := i % benchTenants
		r := records.Record{
			DecisionID: fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), Path: fmt.Sprintf("tenants/t%d/%s", tenant, []string{"allow", "reasons"}[i/benchTenants%2]),
			Input: json.RawMessage(benchRequest(random, tenant)), Revision: before.g.Revision(), Time: time.Now(),
		}
		path, err := engine.ParsePath(r.Path)
		if err != nil {
			t.Fatal(err)
		}
		input, err := engine.ParseJSON(r.Input)
		if err != nil {
			t.Fatal(err)
		}
		v, err := before.g.Evaluate(context.Background(), path, input)
		if err != nil {
			t.Fatal(err)
		}
		if v != nil {
			if r.Result, err = before.g.AppendJSON(nil, v); err != nil {
				t.Fatal(err)
			}
		}
		recs = append(recs, r)
	}
	return before.g, after.g, recs
}

// BenchmarkReview has 10,000 records made again by a candidate of 1,000 modules: by a process that starts for it, and by
// one that has the policies and the records.
func BenchmarkReview(b *testing.B) {
	base, candidate, recs := benchPolicies(b)
	change := review.Of(base, candidate) // as a sidecar knows it
	review := func(b *testing.B, r *running) {
		e := r.Review(b.Context(), base, candidate, reviewer.Ask{Change: change, Steps: []string{reviewer.Replay}, Records: recs})
		if e.Replay == nil || e.Replay.Reached != benchRecords || e.Replay.Replayed != benchRecords {
			b.Fatalf("%+v; %q", e.Replay, e.Incomplete)
		}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			ctx, cancel := context.WithCancel(context.Background())
			r, done := &running{Reviewer: reviewer.New(reviewer.Config{Steps: reviewer.Steps()})}, make(chan error)
			go func() { done <- r.Run(ctx) }()
			review(b, r)
			cancel()
			<-done
		}
	})
	b.Run("next", func(b *testing.B) {
		ctx, cancel := context.WithCancel(context.Background())
		r, done := &running{Reviewer: reviewer.New(reviewer.Config{Steps: reviewer.Steps()})}, make(chan error)
		go func() { done <- r.Run(ctx) }()
		review(b, r)
		for b.Loop() {
			review(b, r)
		}
		cancel()
		<-done
	})
}

// serverVariable makes the test binary a sidecar on the policy directory that it names, for BenchmarkLive.
const serverVariable = "REVIEWER_TEST_SERVER"

// serverProcess serves, and reviews in a loop while it is told "review": each line that it reads turns that on or off, and
// is answered by the number of reviews so far.
func serverProcess(dir string) {
	t := new(testing.T)
	environment := map[string]string{
		"DEFENSECLAW_POLICY_DIR": filepath.Join(dir, "pol"), "DEFENSECLAW_HOME": filepath.Join(dir, "state"),
		"DEFENSECLAW_API_PORT": "0", "DEFENSECLAW_GATEWAY_TOKEN": benchToken, "DEFENSECLAW_WATCH": "false",
	}
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
	must(err)
	s, err := sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()})
	must(err)
	ready := make(chan struct{})
	go func() { must(s.Run(context.Background(), func() { close(ready) })) }()
	<-ready
	base, candidate, recs := benchPolicies(t)
	r, change := reviewer.New(reviewer.Config{Steps: reviewer.Steps()}), review.Of(base, candidate)
	go func() { _ = r.Run(context.Background()) }()
	var on atomic.Bool
	var reviews atomic.Int64
	go func() {
		for {
			if !on.Load() {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			if e := r.Review(context.Background(), base, candidate, reviewer.Ask{Change: change, Steps: []string{reviewer.Replay}, Records: recs}); e.Replay == nil {
				must(fmt.Errorf("%q", e.Incomplete))
			}
			reviews.Add(1)
		}
	}()
	fmt.Println(s.Addr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		on.Store(lines.Text() == "review")
		fmt.Println(reviews.Load())
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// benchToken is what the sidecar of BenchmarkLive expects.
const benchToken = "0f9d6a1c2b3e4d5f"

// BenchmarkLive asks a sidecar for 1,000 decisions a second over HTTP, in turns while it has 10,000 decisions reviewed in a
// loop and while it has not. One iteration is such a pair of rounds. The metrics are medians of windows of a second.
func BenchmarkLive(b *testing.B) {
	dir := b.TempDir()
	for name, text := range corpus.Tenants(benchTenants) {
		path := filepath.Join(dir, "pol", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	server := exec.Command(self)
	server.Env, server.Stderr = append(os.Environ(), serverVariable+"="+dir), os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	lines := bufio.NewReader(out)
	say := func(text string) string {
		if text != "" {
			if _, err := fmt.Fprintln(in, text); err != nil {
				b.Fatal(err)
			}
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	addr := say("")
	const windows = 5
	var quiet, busy [][3]float64
	measure := func() [3]float64 { return window(b, addr, time.Second) }
	for range 3 {
		measure() // connections, programs
	}
	reviews := 0
	for b.Loop() {
		for range windows {
			quiet = append(quiet, measure())
		}
		say("review")
		measure() // the process starts
		before := say("review")
		for range windows {
			busy = append(busy, measure())
		}
		reviews += number(say("quiet")) - number(before)
		measure()
	}
	for i, name := range []string{"p50", "p90", "p99"} {
		q, r := median(quiet, i), median(busy, i)
		b.ReportMetric(q, "quiet-"+name+"-ms")
		b.ReportMetric(r, "review-"+name+"-ms")
		b.ReportMetric(r/q, "ratio-"+name)
	}
	b.ReportMetric(float64(reviews)/float64(windows*len(busy)/windows), "reviews/s")
	b.ReportMetric(0, "ns/op")
}

func number(s string) (n int) {
	_, _ = fmt.Sscan(s, &n)
	return n
}

func median(all [][3]float64, i int) float64 {
	var values []float64
	for _, v := range all {
		values = append(values, v[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// window asks for 1,000 decisions a second, each at its time whatever became of the others, and returns the percentiles of
// the milliseconds from that time to the answer.
func window(b *testing.B, addr string, d time.Duration) [3]float64 {
	b.Helper()
	const every = time.Millisecond
	n := int(d / every)
	took := make([]float64, n)
	random := rand.New(rand.NewPCG(3, 4))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var asked sync.WaitGroup
	begun := time.Now()
	for i := range n {
		due := begun.Add(time.Duration(i) * every)
		time.Sleep(time.Until(due))
		tenant := random.IntN(benchTenants)
		body := `{"input":` + benchRequest(random, tenant) + `}`
		asked.Go(func() {
			request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/v1/data/tenants/t%d/allow", addr, tenant), bytes.NewReader([]byte(body)))
			must(err)
			request.Header.Set("Authorization", "Bearer "+benchToken)
			request.Header.Set("Content-Type", "application/json")
			response, err := client.Do(request)
			must(err)
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				panic(response.Status)
			}
			took[i] = float64(time.Since(due).Microseconds()) / 1000
		})
	}
	asked.Wait()
	slices.Sort(took)
	return [3]float64{took[n/2], took[n*9/10], took[n*99/100]}
}
