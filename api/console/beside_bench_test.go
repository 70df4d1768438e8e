package console_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkDecisionsBesidePages makes decisions over a connection that is kept open, in turns alone and while twelve browsers of
// three people load one page after the other: how often as long the median and the 99th percentile take then.
func BenchmarkDecisionsBesidePages(b *testing.B) {
	s, decision := busySite(b)
	ask := s.keptOpen(b, "p/answer/7")
	const each = 2000
	spans := func() []time.Duration {
		all := make([]time.Duration, each)
		for i := range all {
			begun := time.Now()
			ask(`{"n":"7","size":9}`)
			all[i] = time.Since(begun)
		}
		return all
	}
	spans() // until programs decide
	people := []*browser{s.signedIn(), s.signedIn(), s.signedIn()}
	var quiet, busy []time.Duration
	var pages int
	for b.Loop() {
		quiet = append(quiet, spans()...)
		stop := load(b, people, decision, &pages)
		busy = append(busy, spans()...)
		stop()
	}
	for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		alone, beside := percentile(quiet, share), percentile(busy, share)
		b.ReportMetric(float64(alone.Microseconds()), name+"-us")
		b.ReportMetric(float64(beside)/float64(alone), name+"-times-quiet")
	}
	b.ReportMetric(float64(pages)/float64(len(busy))*each, "pages/op")
}

// load has browsers load pages until stop is called.
func load(b *testing.B, people []*browser, decision string, pages *int) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	var mu sync.Mutex
	for n := range 12 {
		all.Go(func() {
			for {
				for _, at := range pagesOf(decision) {
					if ctx.Err() != nil {
						return
					}
					if status, page := people[n%len(people)].ask(at[1]); status != http.StatusOK {
						b.Errorf("%s: %d\n%s", at[1], status, page)
						return
					}
					mu.Lock()
					*pages++
					mu.Unlock()
				}
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// keptOpen returns what asks for a document over a connection of its own.
func (s *site) keptOpen(b *testing.B, path string) func(input string) {
	b.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	in := bufio.NewReader(conn)
	return func(input string) {
		body := `{"input":` + input + `}`
		if _, err := fmt.Fprintf(conn, "POST /v1/data/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			path, token, len(body), body); err != nil {
			b.Fatal(err)
		}
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if _ = answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
			b.Fatal(answer.Status, err)
		}
	}
}

func percentile(all []time.Duration, share float64) time.Duration {
	slices.Sort(all)
	return all[int(float64(len(all)-1)*share)]
}
