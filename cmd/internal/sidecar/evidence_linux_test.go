package sidecar_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"go.uber.org/zap"
)

// reviewerSteps are those of the program, which first do what the data of the candidate says: {"reviewer": {"probe": "kill"}}.
func reviewerSteps() []reviewer.Step {
	all := reviewer.Steps()
	for i := range all {
		run, name := all[i].Run, all[i].Name
		all[i].Run = func(ctx context.Context, w *reviewer.Work, e *review.Evidence) error {
			v, err := w.Candidate.Evaluate(context.Background(), engine.Path{"reviewer", name}, nil)
			if err != nil {
				return err
			}
			if v != nil {
				switch strings.Trim(v.String(), `"`) {
				case "kill":
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
					select {} // the signal may come a moment later
				case "stop":
					_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
					select {}
				case "memory":
					var all [][]byte
					for range 1 << 7 {
						all = append(all, []byte(strings.Repeat("x", 64<<20)))
					}
					return fmt.Errorf("%d megabytes", len(all))
				}
			}
			return run(ctx, w, e)
		}
	}
	return all
}

// TestWhatBecomesOfAChangeWhoseReviewerEnds ends the reviewer of a running sidecar in each step in each way: the review is
// incomplete and says why, the mode says what becomes of the change, and decisions go on.
func TestWhatBecomesOfAChangeWhoseReviewerEnds(t *testing.T) {
	verdicts := map[string]string{"report": "admitted", "enforce": "refused", "hold": "held"}
	reasons := map[string]string{"kill": "the reviewer was killed", "stop": "the reviewer did not answer in time", "memory": "the reviewer "} // at the limit of its memory, the runtime may also crash, or collect garbage until the time is over
	for mode, verdict := range verdicts {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := startReviewed(t, mode)
			s.record(220) // up to 200 are replayed in the sidecar
			for _, step := range []string{reviewer.Tests, reviewer.Replay, reviewer.Probe} {
				for how, reason := range reasons {
					if mode == "report" && step == reviewer.Probe { // there is no search
						continue
					}
					if how == "stop" && (mode == "report" || step == reviewer.Tests) { // nobody waits for the first: it may take a minute
						continue
					}
					if how == "memory" && underRace {
						continue
					}
					s.edit(fmt.Sprintf(`{"limit": 10, "reviewer": {%q: %q}}`, step, how))
					got := s.reviewed()
					if got.Verdict != verdict || !slices.ContainsFunc(got.Review.Incomplete, func(i string) bool { return strings.HasPrefix(i, step+": "+reason) }) {
						t.Errorf("%s in %s: %s, incomplete %q", how, step, got.Verdict, got.Review.Incomplete)
					}
					s.decides()
				}
			}
			s.edit(`{"limit": 11}`)
			if got := s.reviewed(); len(got.Review.Incomplete) > 0 || got.Review.Tests.Ran == 0 || mode != "report" && len(got.Review.Probe.Found) == 0 {
				t.Errorf("another change: %s, incomplete %q, %+v", got.Verdict, got.Review.Incomplete, got.Review.Tests)
			}
		})
	}
}

// TestTheNextSaveEndsAReview saves while the reviewer is silent: what the watch sees next is reviewed at once, and the change
// before it has no verdict.
func TestTheNextSaveEndsAReview(t *testing.T) {
	s := startReviewed(t, "enforce")
	s.edit(`{"limit": 10, "reviewer": {"probe": "stop"}}`)
	s.until("the reviewer is silent", func(now api.StatusAnswer) bool {
		if now.Reviewer == nil || !now.Reviewer.Running {
			return false
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", now.Reviewer.PID))
		return err == nil && strings.Contains(string(text), ") T ")
	})
	s.edit(`{"limit": 12}`)
	if got := s.reviewed(); got.Verdict != "admitted" || len(got.Review.Data) != 1 || len(got.Review.Incomplete) > 0 {
		t.Errorf("the first review is %s, of %+v, incomplete %q", got.Verdict, got.Review.Data, got.Review.Incomplete)
	}
}

// reviewed is a sidecar on a policy with a test, whose changes are reviewed.
type reviewedSidecar struct {
	t      *testing.T
	client *api.Client
	dir    string
	last   string // the digest of the newest review that was looked at
}

func startReviewed(t *testing.T, mode string) *reviewedSidecar {
	t.Helper()
	s := &reviewedSidecar{t: t, dir: filepath.Join(t.TempDir(), "pol")}
	s.write("app.rego", "package app\n\nallow if input.n < data.limit\n\ndefault told := {}\n\ntold := data.reviewer\n\necho := {\"n\": input.n, \"told\": told}\n")
	s.write("app_test.rego", "package app_test\n\ntest_seven if data.app.allow with input as {\"n\": 7}\n\ntest_other if not data.reviewer.never\n")
	s.write("data.json", `{"limit": 10}`)
	environment := map[string]string{
		"DEFENSECLAW_POLICY_DIR": s.dir, "DEFENSECLAW_HOME": filepath.Join(t.TempDir(), "state"), "DEFENSECLAW_API_PORT": "0",
		"DEFENSECLAW_GATEWAY_TOKEN": token, "DEFENSECLAW_SAFETY_MODE": mode, "DEFENSECLAW_SAFETY_BUDGET": "8s",
	}
	if !underRace { // which takes more than that for itself
		environment["DEFENSECLAW_SAFETY_REVIEWER_MEMORY_BYTES"] = fmt.Sprint(32 << 20)
	}
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return environment[name] })
	if err != nil {
		t.Fatal(err)
	}
	sc, err := sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- sc.Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s.client = &api.Client{Addr: sc.Addr(), Token: token, Timeout: patience}
	return s
}

func (s *reviewedSidecar) write(name, text string) {
	s.t.Helper()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, name+".new"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(s.dir, name+".new"), filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *reviewedSidecar) edit(data string) { s.t.Helper(); s.write("data.json", data) }

// reviewed waits for another review than the one before.
func (s *reviewedSidecar) reviewed() api.ReviewAnswer {
	s.t.Helper()
	for end := time.Now().Add(2 * patience); ; time.Sleep(10 * time.Millisecond) {
		got, err := s.client.Review(context.Background())
		if err == nil && got.Digest != s.last {
			s.last = got.Digest
			return got
		}
		if time.Now().After(end) {
			s.t.Fatalf("no review: %+v, %v", got, err)
		}
	}
}

func (s *reviewedSidecar) until(what string, happened func(api.StatusAnswer) bool) {
	s.t.Helper()
	for end := time.Now().Add(2 * patience); ; time.Sleep(5 * time.Millisecond) {
		now, err := s.client.Status(context.Background())
		if err == nil && happened(now) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("it never happened: %s; %v, %+v", what, err, now.Reviewer)
		}
	}
}

// record makes decisions that are all of another kind, which the change of data.reviewer can reach.
func (s *reviewedSidecar) record(n int) {
	s.t.Helper()
	i := 0
	s.until("decisions are recorded", func(now api.StatusAnswer) bool {
		for range n { // in a flood, few of those that are new are taken
			i++
			if _, err := s.client.Data(context.Background(), []string{"app", "echo"}, fmt.Appendf(nil, `{"n": %d}`, i), nil); err != nil {
				s.t.Fatal(err)
			}
		}
		return now.Recordings != nil && now.Recordings.Records >= n
	})
}

func (s *reviewedSidecar) decides() {
	s.t.Helper()
	answer, err := s.client.Data(context.Background(), []string{"app", "allow"}, []byte(`{"n": 7}`), nil)
	if err != nil || answer.Result == nil || string(*answer.Result) != "true" {
		s.t.Errorf("%v, %v", answer.Result, err)
	}
}
