package decisionlog_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/api/decisionlog"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// service is a decision log service as OPA's documentation has it.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	sizes    []int // of the bodies, compressed
	inputs   []string
	answer   func(n int, events []map[string]any) int // the status for the request of this number, from 1; nil: 204
}

func newService(t testing.TB) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sidecar gave up
		}
		unpacked, err := gzip.NewReader(strings.NewReader(string(body)))
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
			return
		}
		var events []map[string]any
		if err := json.NewDecoder(unpacked).Decode(&events); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.requests, s.sizes = append(s.requests, r), append(s.sizes, len(body))
		status, answer, n := http.StatusNoContent, s.answer, len(s.requests)
		s.mu.Unlock()
		if answer != nil {
			status = answer(n, events)
		}
		if status < 300 {
			s.mu.Lock()
			for _, e := range events {
				s.inputs = append(s.inputs, fmt.Sprint(e["input"]))
			}
			s.mu.Unlock()
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.inputs)
}

// numbers are the inputs 0 to n-1, as the service sees them.
func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

const soon, often = time.Millisecond, 20 * time.Millisecond

func TestEventsAreUploadedAsOPADoes(t *testing.T) {
	s := newService(t)
	g := load(t, plain)
	l := run(t, decisionlog.Config{URL: s.URL + "/base/", Partition: "a b/c", Token: "a-token", MinDelay: soon, MaxDelay: often})
	for _, n := range numbers(3) {
		decide(t, l.Log, g, "p/x", n)
	}
	eventually(t, "the service has them", func() bool { return len(s.got()) == 3 })
	l.stopped()
	if got := s.got(); !slices.Equal(got, numbers(3)) || l.Health().Written[decisionlog.SinkService] != 3 {
		t.Errorf("the service has %v; %v", got, l.Health())
	}
	r := s.requests[0]
	got := []string{r.Method, r.URL.EscapedPath(), r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"), r.Header.Get("Authorization")}
	if want := []string{"POST", "/base/logs/a%20b/c", "application/json", "gzip", "Bearer a-token"}; !slices.Equal(got, want) {
		t.Errorf("%q; %q was expected", got, want)
	}
}

func TestChunksKeepToTheLimitAndLoseNothing(t *testing.T) {
	s := newService(t)
	g := load(t, map[string]string{"p.rego": "package p\nx := 1"})
	const limit = 4096
	l := run(t, decisionlog.Config{URL: s.URL, UploadBytes: limit, MinDelay: time.Hour, MaxDelay: time.Hour})
	random := rand.New(rand.NewPCG(1, 2))
	var want []string
	for i := range 300 {
		input := fmt.Sprint(i, strings.Repeat("x", random.IntN(3000)))
		if i%7 == 0 { // does not compress well
			for range random.IntN(300) {
				input += fmt.Sprintf("%x", random.Uint32())
			}
		}
		want = append(want, input)
		decide(t, l.Log, g, "p/x", `"`+input+`"`)
	}
	l.stopped()
	got := s.got()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d of %d events came; dropped %v", len(got), len(want), l.Health().Dropped)
	}
	if largest := slices.Max(s.sizes); largest > limit {
		t.Errorf("a chunk has %d bytes", largest)
	}
	if len(s.sizes) > len(want)/3 {
		t.Errorf("%d chunks for %d events", len(s.sizes), len(want))
	}
}

func TestAnEventLargerThanAnUploadIsDropped(t *testing.T) {
	s := newService(t)
	g := load(t, plain)
	l := run(t, decisionlog.Config{URL: s.URL, UploadBytes: 2048, MinDelay: time.Hour, MaxDelay: time.Hour})
	random := rand.New(rand.NewPCG(1, 2))
	var noise strings.Builder
	for range 2000 {
		fmt.Fprintf(&noise, "%x", random.Uint32())
	}
	decide(t, l.Log, g, "p/x", "1")
	decide(t, l.Log, g, "p/x", `"`+noise.String()+`"`)
	decide(t, l.Log, g, "p/x", "2")
	l.stopped()
	if got := s.got(); !slices.Equal(got, []string{"1", "2"}) || l.Health().Dropped[decisionlog.DroppedTooLarge] != 1 {
		t.Errorf("the service has %.100v; %v", got, l.Health())
	}
}

func TestFailedUploadsAreRetried(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable,
		http.StatusTooManyRequests, http.StatusUnauthorized, http.StatusFound, http.StatusTemporaryRedirect} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			s := newService(t)
			s.answer = func(n int, _ []map[string]any) int {
				if n <= 3 {
					return status
				}
				return http.StatusOK
			}
			core, logged := observer.New(zap.WarnLevel)
			l := run(t, decisionlog.Config{URL: s.URL, MinDelay: soon, MaxDelay: often, Logger: zap.New(core)})
			for _, n := range numbers(5) {
				decide(t, l.Log, load(t, plain), "p/x", n)
			}
			eventually(t, "the service has them", func() bool { return len(s.got()) == 5 })
			l.stopped()
			if h := l.Health(); h.Written[decisionlog.SinkService] != 5 || len(h.Dropped) > 0 {
				t.Errorf("%v", h)
			}
			if all := logged.All(); len(all) != 1 || !strings.Contains(all[0].Message, "could not be uploaded") {
				t.Errorf("three failures were logged as %v: once was expected", all)
			}
		})
	}
}

func TestAnInvalidEventIsIsolatedAndDropped(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity} {
		s := newService(t)
		s.answer = func(_ int, events []map[string]any) int {
			if slices.ContainsFunc(events, func(e map[string]any) bool { return e["input"] == "wrong" }) {
				return status
			}
			return http.StatusOK
		}
		g := load(t, plain)
		l := run(t, decisionlog.Config{URL: s.URL, MinDelay: soon, MaxDelay: often})
		const events = 100
		for i := range events {
			input := fmt.Sprint(i)
			if i == 37 || i == 38 {
				input = `"wrong"`
			}
			decide(t, l.Log, g, "p/x", input)
		}
		eventually(t, "all others are accepted", func() bool { return len(s.got()) == events-2 })
		eventually(t, "the wrong ones are dropped", func() bool { return l.Health().Dropped[decisionlog.DroppedRefused] == 2 })
		l.stopped()
	}
}

func TestADeadServiceDelaysNoDecision(t *testing.T) {
	release, held := make(chan struct{}), make(chan struct{}, 100)
	s := newService(t)
	s.answer = func(int, []map[string]any) int {
		held <- struct{}{}
		<-release
		return http.StatusOK
	}
	g := load(t, plain)
	const events = 200
	var console buffer
	l := run(t, decisionlog.Config{URL: s.URL, Console: &console, BufferBytes: 64 << 10, MinDelay: soon, MaxDelay: often})
	decide(t, l.Log, g, "p/x", "-1")
	<-held // an upload is in progress, and stays so
	for i := range events {
		decide(t, l.Log, g, "p/x", fmt.Sprintf(`{"n":%d,"text":"%s"}`, i, strings.Repeat("x", 1000)))
		if i%10 == 9 { // so that only the service's own buffer can be too small
			eventually(t, "the events are made", func() bool { return len(console.lines(t)) == i+2 })
		}
	}
	dropped := l.Health().Dropped[decisionlog.DroppedBuffer]
	if dropped < events/2 || dropped >= events {
		t.Errorf("%d of %d were dropped; some 64 kB of 500 were to be kept", dropped, events)
	}
	close(release)
	l.stopped()
	if got := s.got(); len(got) != events+1-int(dropped) || !strings.Contains(got[len(got)-1], fmt.Sprintf("n:%d ", events-1)) {
		t.Errorf("%d events came; %d were dropped; the last was %.40s", len(got), dropped, got[len(got)-1])
	}
}

func TestTheEndTriesAgainUntilEventsAreAccepted(t *testing.T) {
	s := newService(t)
	s.answer = func(n int, _ []map[string]any) int {
		if n <= 4 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	}
	l := run(t, decisionlog.Config{URL: s.URL, MinDelay: time.Hour, MaxDelay: time.Hour})
	for _, n := range numbers(3) {
		decide(t, l.Log, load(t, plain), "p/x", n)
	}
	l.stopped()
	if h, got := l.Health(), s.got(); len(got) != 3 || len(h.Dropped) > 0 {
		t.Errorf("the service has %v; %v", got, h)
	}
}

func TestEventsLeftAtTheEndAreCounted(t *testing.T) {
	t.Parallel() // it takes the seconds in which the service could come back
	s := newService(t)
	s.Close()
	l := run(t, decisionlog.Config{URL: s.URL, MinDelay: soon, MaxDelay: often})
	for range 3 {
		decide(t, l.Log, load(t, plain), "p/x", "1")
	}
	l.stopped()
	if got := l.Health().Dropped; got[decisionlog.DroppedShutdown] != 3 {
		t.Errorf("dropped %v", got)
	}
}

func TestTheEndDoesNotWaitForAHangingService(t *testing.T) {
	t.Parallel() // it takes the seconds that the service is given
	release := make(chan struct{})
	s := newService(t)
	s.answer = func(int, []map[string]any) int {
		<-release
		return http.StatusOK
	}
	l := run(t, decisionlog.Config{URL: s.URL, MinDelay: soon, MaxDelay: often})
	for range 3 {
		decide(t, l.Log, load(t, plain), "p/x", "1")
	}
	l.stopped()
	if h := l.Health(); h.Dropped[decisionlog.DroppedShutdown] != 3 || h.Written[decisionlog.SinkService] != 0 {
		t.Errorf("%v", h)
	}
	close(release)
}
