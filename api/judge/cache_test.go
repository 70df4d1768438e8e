package judge_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/api/judge"
)

func TestAnIdenticalTextIsAnsweredFromTheCache(t *testing.T) {
	e, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request, r request) {
		complete(w, judgement(r.kind(), "Obfuscation", "Password"))
	})
	j := mustNew(t, cfg)
	first := mustJudge(t, j, judge.Prompt, aPrompt)
	second := mustJudge(t, j, judge.Prompt, aPrompt)
	if first.Cached || !second.Cached || e.count() != 3 {
		t.Fatalf("%d requests; first %+v; second %+v", e.count(), first, second)
	}
	second.Cached = false
	if a, b := asJSON(t, first), asJSON(t, second); a != b {
		t.Errorf("kept\n%s\nof\n%s", b, a)
	}
	mustJudge(t, j, judge.Prompt, aPrompt+" ")
	mustJudge(t, j, judge.Completion, aPrompt)
	if e.count() != 7 {
		t.Errorf("%d requests: another text and another direction are other questions", e.count())
	}
	v, err := j.Assess(t.Context(), judge.Request{Kind: judge.PII, Direction: judge.Prompt, Content: aPrompt})
	if err != nil || !v.Cached || e.count() != 7 {
		t.Errorf("%+v, %v: the kinds of a prompt are kept one by one", v, err)
	}
}

func TestInvalidationMakesAnIdenticalTextAMiss(t *testing.T) {
	e, cfg := serve(t, clean)
	j := mustNew(t, cfg)
	mustJudge(t, j, judge.Completion, aPrompt)
	j.InvalidateJudgeVerdictCache()
	if v := mustJudge(t, j, judge.Completion, aPrompt); v.Cached || e.count() != 2 {
		t.Errorf("%d requests, %+v", e.count(), v)
	}
	if v := mustJudge(t, j, judge.Completion, aPrompt); !v.Cached || e.count() != 2 {
		t.Errorf("%d requests, %+v", e.count(), v)
	}
}

func TestANewGenerationMissesWithoutInvalidation(t *testing.T) {
	e, cfg := serve(t, clean)
	var generation atomic.Uint64
	cfg.Generation = generation.Load
	j := mustNew(t, cfg)
	mustJudge(t, j, judge.Completion, aPrompt)
	generation.Store(1)
	if v := mustJudge(t, j, judge.Completion, aPrompt); v.Cached || v.Generation != 1 || e.count() != 2 {
		t.Errorf("%d requests, %+v", e.count(), v)
	}
	if v := mustJudge(t, j, judge.Completion, aPrompt); !v.Cached || e.count() != 2 {
		t.Errorf("an unchanged generation: %d requests, %+v", e.count(), v)
	}
}

// TestACallThatCrossesAReloadFillsNoCache holds the model's answer back until the policy has changed.
func TestACallThatCrossesAReloadFillsNoCache(t *testing.T) {
	for _, tt := range []struct {
		name   string
		reload func(generation *atomic.Uint64, j *judge.Judge)
	}{
		{"generation and invalidation", func(g *atomic.Uint64, j *judge.Judge) { g.Add(1); j.InvalidateJudgeVerdictCache() }},
		{"generation only", func(g *atomic.Uint64, _ *judge.Judge) { g.Add(1) }},
		{"invalidation only", func(_ *atomic.Uint64, j *judge.Judge) { j.InvalidateJudgeVerdictCache() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int32
			reloaded := make(chan struct{})
			e, cfg := serve(t, func(w http.ResponseWriter, r *http.Request, got request) {
				if asked.Add(1) > 1 {
					complete(w, judgement(got.kind(), "Password"))
					return
				}
				select {
				case <-reloaded:
					complete(w, judgement(got.kind()))
				case <-r.Context().Done():
				}
			})
			var generation atomic.Uint64
			cfg.Generation = generation.Load
			j := mustNew(t, cfg)
			var crossing judge.Verdict
			var wait sync.WaitGroup
			wait.Go(func() { crossing = mustJudge(t, j, judge.Completion, aPrompt) })
			eventually(t, "the first call", func() bool { return asked.Load() == 1 })

			tt.reload(&generation, j)
			// A caller under the new policy does not wait for the answer of the old one.
			during := mustJudge(t, j, judge.Completion, aPrompt)
			if during.Severity != judge.SeverityCritical || during.Cached {
				t.Errorf("under the new policy: %+v", during)
			}
			close(reloaded)
			wait.Wait()
			if crossing.Severity != judge.SeverityNone || crossing.Generation != 0 {
				t.Errorf("the call that crossed: %+v", crossing)
			}
			after := mustJudge(t, j, judge.Completion, aPrompt)
			if after.Severity != judge.SeverityCritical || !after.Cached || e.count() != 2 {
				t.Errorf("after it: %d requests, %+v", e.count(), after)
			}
		})
	}
}

func TestAHitDoesNotExtendTheTimeToLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, cfg := serveInBubble(t, clean)
		j := mustNew(t, cfg)
		mustJudge(t, j, judge.Completion, aPrompt)
		for range 2 {
			time.Sleep(14 * time.Second)
			if v := mustJudge(t, j, judge.Completion, aPrompt); !v.Cached {
				t.Fatal("lost before its time")
			}
		}
		time.Sleep(2*time.Second + time.Millisecond)
		if v := mustJudge(t, j, judge.Completion, aPrompt); v.Cached || e.count() != 2 {
			t.Errorf("%d requests, %+v", e.count(), v)
		}
	})
}

func TestConcurrentIdenticalTextsAreOneCall(t *testing.T) {
	const callers = 8
	release := make(chan struct{})
	e, cfg := serve(t, func(w http.ResponseWriter, r *http.Request, got request) {
		select {
		case <-release:
			complete(w, judgement(got.kind(), "Password"))
		case <-r.Context().Done():
		}
	})
	var missed atomic.Int32
	cfg.Observe.Miss = func(judge.Kind) { missed.Add(1) }
	j := mustNew(t, cfg)
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			if v := mustJudge(t, j, judge.Completion, aPrompt); v.Severity != judge.SeverityCritical || v.Cached {
				t.Errorf("verdict %+v", v)
			}
		})
	}
	eventually(t, "all have looked", func() bool { return missed.Load() == callers })
	close(release)
	wait.Wait()
	if e.count() != 1 {
		t.Errorf("%d requests", e.count())
	}
}

func TestAWaitingCallerMayLeaveOrTakeOver(t *testing.T) {
	var asked, missed atomic.Int32
	e, cfg := serve(t, func(w http.ResponseWriter, r *http.Request, got request) {
		if asked.Add(1) == 1 {
			<-r.Context().Done()
			return
		}
		complete(w, judgement(got.kind(), "Password"))
	})
	cfg.Observe.Miss = func(judge.Kind) { missed.Add(1) }
	j := mustNew(t, cfg)
	ask := func(ctx context.Context) (judge.Verdict, error) {
		return j.Assess(ctx, judge.Request{Direction: judge.Completion, Content: aPrompt})
	}
	var wait sync.WaitGroup
	first, leave := context.WithCancel(t.Context())
	wait.Go(func() {
		if _, err := ask(first); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller who left: %v", err)
		}
	})
	eventually(t, "the first call", func() bool { return asked.Load() == 1 })

	impatient, leaveToo := context.WithCancel(t.Context())
	gone := make(chan struct{})
	wait.Go(func() {
		defer close(gone)
		if _, err := ask(impatient); !errors.Is(err, context.Canceled) {
			t.Errorf("who did not want to wait: %v", err)
		}
	})
	wait.Go(func() {
		if v, err := ask(t.Context()); err != nil || v.Severity != judge.SeverityCritical {
			t.Errorf("who waited: %+v, %v", v, err)
		}
	})
	eventually(t, "both wait", func() bool { return missed.Load() == 3 })
	leaveToo()
	<-gone
	leave()
	wait.Wait()
	if e.count() != 2 {
		t.Errorf("%d requests", e.count())
	}
}

func TestAFailureIsSharedByWaitingCallers(t *testing.T) {
	release := make(chan struct{})
	e, cfg := serve(t, func(w http.ResponseWriter, r *http.Request, _ request) {
		select {
		case <-release:
			refuse(w, 403, "", "no")
		case <-r.Context().Done():
		}
	})
	var missed, failed atomic.Int32
	cfg.FailMode = judge.Closed
	cfg.Observe.Miss = func(judge.Kind) { missed.Add(1) }
	cfg.Observe.Error = func(judge.Kind, *judge.CallError) { failed.Add(1) }
	j := mustNew(t, cfg)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() { checkFailed(t, mustJudge(t, j, judge.Completion, aPrompt), judge.Closed) })
	}
	eventually(t, "all have looked", func() bool { return missed.Load() == 4 })
	close(release)
	wait.Wait()
	if e.count() != 1 || failed.Load() != 1 {
		t.Errorf("%d requests, %d failures", e.count(), failed.Load())
	}
}

func TestConcurrentRequestsAreLimited(t *testing.T) {
	var now, most atomic.Int32
	_, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request, r request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		complete(w, judgement(r.kind()))
	})
	cfg.MaxConcurrent = 1
	j := mustNew(t, cfg)
	var wait sync.WaitGroup
	for i := range 10 {
		wait.Go(func() { mustJudge(t, j, judge.Prompt, fmt.Sprintf("%s (%d)", aPrompt, i)) })
	}
	wait.Wait()
	if most.Load() != 1 {
		t.Errorf("%d requests at once", most.Load())
	}
}

// failures counts the failures of a judge by their reasons.
type failures struct {
	mu       sync.Mutex
	byReason map[judge.Reason]int
}

func countFailures(cfg *judge.Config) *failures {
	f := &failures{byReason: map[judge.Reason]int{}}
	cfg.Observe.Error = func(_ judge.Kind, e *judge.CallError) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.byReason[e.Reason]++
	}
	return f
}

func (f *failures) is(t *testing.T, want map[judge.Reason]int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !maps.Equal(f.byReason, want) {
		t.Errorf("failures %v, want %v", f.byReason, want)
	}
}

func TestWaitingForASlotEndsAtTheTimeout(t *testing.T) {
	for _, mode := range []judge.FailMode{judge.Open, judge.Closed} {
		synctest.Test(t, func(t *testing.T) {
			_, cfg := serveInBubble(t, func(_ http.ResponseWriter, r *http.Request, _ request) { <-r.Context().Done() })
			cfg.MaxConcurrent, cfg.FailMode, cfg.Timeout = 1, mode, 10*time.Second
			failed := countFailures(&cfg)
			j := mustNew(t, cfg)
			var wait sync.WaitGroup
			for i := range 20 { // slow texts: the first has the slot until 10 s, the second from then until 20 s
				wait.Go(func() { mustJudge(t, j, judge.Completion, fmt.Sprintf("%s (%d)", aPrompt, i)) })
				if i == 0 {
					time.Sleep(5 * time.Second)
				}
			}
			time.Sleep(time.Second)
			start := time.Now()
			v := mustJudge(t, j, judge.Completion, aPrompt)
			checkFailed(t, v, judge.Closed) // in both modes: other callers keep the slots
			if took := time.Since(start); took != 10*time.Second || !strings.Contains(v.Reason, "no slot became free within 10s") {
				t.Errorf("after %v: %+v", took, v)
			}
			impatient, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, err := j.Assess(impatient, judge.Request{Direction: judge.Completion, Content: aPrompt})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who left: %v", err)
			}
			wait.Wait()
			failed.is(t, map[judge.Reason]int{judge.ReasonTimeout: 2, judge.ReasonBusy: 19, judge.ReasonCanceled: 1})
		})
	}
}

// TestTheWaitForASlotIsNotTimeOfTheModel has a model that needs nearly the timeout for each of two texts.
func TestTheWaitForASlotIsNotTimeOfTheModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, cfg := serveInBubble(t, func(w http.ResponseWriter, _ *http.Request, r request) {
			time.Sleep(9 * time.Second)
			complete(w, judgement(r.kind(), "Password"))
		})
		cfg.MaxConcurrent, cfg.Timeout = 1, 10*time.Second
		cfg.Observe.Call = func(c judge.Call) {
			if c.Duration != 9*time.Second {
				t.Errorf("a call took %v", c.Duration)
			}
		}
		failed := countFailures(&cfg)
		j := mustNew(t, cfg)
		var wait sync.WaitGroup
		for i := range 2 {
			wait.Go(func() {
				if v := mustJudge(t, j, judge.Completion, fmt.Sprintf("%s (%d)", aPrompt, i)); v.JudgeFailed || v.Severity != judge.SeverityCritical {
					t.Errorf("verdict %+v", v)
				}
			})
		}
		wait.Wait()
		failed.is(t, map[judge.Reason]int{})
	})
}

// TestNoVerdictIsOlderThanItsPolicy has the model answer with the policy's number,
// written in findings, while the policy changes as fast as it can.
func TestNoVerdictIsOlderThanItsPolicy(t *testing.T) {
	for _, byNumber := range []bool{true, false} {
		name := "known by its generation"
		if !byNumber {
			name = "known by invalidation"
		}
		t.Run(name, func(t *testing.T) {
			var policy, announced atomic.Uint64
			_, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request, _ request) {
				var found []string
				for bit, c := range categories[judge.PII] {
					if policy.Load()>>bit&1 == 1 {
						found = append(found, c)
					}
				}
				complete(w, judgement(judge.PII, found...))
			})
			if byNumber {
				cfg.Generation = policy.Load
			}
			j := mustNew(t, cfg)
			var callers sync.WaitGroup
			done := make(chan struct{})
			for range 4 {
				callers.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						since := announced.Load()
						v := mustJudge(t, j, judge.Completion, aPrompt)
						if said := numberOf(v); said < since {
							t.Errorf("policy %d was announced, and the verdict is of %d", since, said)
							return
						}
					}
				})
			}
			for n := uint64(1); n < 128; n++ {
				policy.Store(n)
				if !byNumber {
					j.InvalidateJudgeVerdictCache()
				}
				announced.Store(n)
				mustJudge(t, j, judge.Completion, aPrompt)
			}
			close(done)
			callers.Wait()
			if said := numberOf(mustJudge(t, j, judge.Completion, aPrompt)); said != 127 {
				t.Errorf("the last verdict is of policy %d", said)
			}
		})
	}
}

func numberOf(v judge.Verdict) uint64 {
	ids := []string{"EMAIL", "IP", "PHONE", "DL", "PASSPORT", "SSN", "USER", "PASS"}
	var n uint64
	for bit, id := range ids {
		for _, f := range v.Findings {
			if f == "JUDGE-PII-"+id {
				n |= 1 << bit
			}
		}
	}
	return n
}

func TestRunClosesTheConnectionsOfTheJudgesOwnClient(t *testing.T) {
	e, cfg := serve(t, clean)
	cfg.HTTPClient = nil
	j := mustNew(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	mustJudge(t, j, judge.Completion, aPrompt)
	cancel()
	if err := <-ended; err != nil || e.count() != 1 {
		t.Errorf("%v after %d requests", err, e.count())
	} // goleak sees what is left open
}
