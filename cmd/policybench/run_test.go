package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine/corpus"
)

// patience limits every wait. Only a failing test waits this long.
const patience = time.Minute

func sidecar(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asSidecar, "1")
	return self
}

// startSidecar starts a sidecar on a corpus of ten tenants, in which the file at path has the given text.
func startSidecar(t *testing.T, path, text string) *session {
	t.Helper()
	home := t.TempDir()
	files := corpus.Tenants(10)
	if path != "" {
		files[path] = text
	}
	if err := writeFiles(filepath.Join(home, "policy"), files); err != nil {
		t.Fatal(err)
	}
	p, err := options{sidecar: sidecar(t)}.sidecarPeer().start(t.Context(), filepath.Join(home, "policy"), home)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(p)
	t.Cleanup(s.close)
	if live, err := s.waitFor(t.Context(), steadyDecision(), patience); !live {
		t.Fatal(s.withLog(errors.Join(errors.New("does not answer"), err)))
	}
	return s
}

var quick = []string{
	"-sizes", "10", "-data", "1", "-heavy", "1", "-rounds", "2", "-storm", "300ms", "-load", "200ms",
	"-connections", "2", "-deadline", patience.String(), "-only", "start|edit|storm|memory|data|throughput",
}

// runSmall runs the command with small sizes and returns its report and its output.
func runSmall(t *testing.T, extraArgs ...string) (report, string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	path := filepath.Join(t.TempDir(), "report.json")
	var out, progress strings.Builder
	args := slices.Concat(quick, []string{"-sidecar", sidecar(t), "-json", path}, extraArgs)
	if code := run(t.Context(), args, &out, &progress); code != 0 {
		t.Fatalf("exit %d:\n%s%s", code, out.String(), progress.String())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	return r, out.String() + progress.String()
}

func TestRunMeasuresTheSidecarAlone(t *testing.T) {
	r, output := runSmall(t, "-opa", "", "-edits", "60")
	var measured []string
	for _, w := range r.Rows {
		s := w.Programs[sidecarName]
		zero := s.Median <= 0 && !strings.HasPrefix(w.Measure, "processor time") // its tick is 10 ms
		if s.Count == 0 || zero || s.NeverLive > 0 {
			t.Errorf("%s, %s: %+v", w.Measure, w.Corpus, s)
		}
		if w.Ratio != nil {
			t.Errorf("%s has a ratio to nothing", w.Measure)
		}
		measured = append(measured, w.Measure)
	}
	for _, want := range []string{
		"start to first answer", "memory at start",
		"edit to live: a leaf, rename-save", "edit to live: a leaf, in-place save",
		"edit to live: a leaf, moved in from elsewhere",
		"edit to live: a library, signature unchanged", "edit to live: a library, signature changed",
		"longest decision during these edits", "first decision after these edits",
		"quiet: 99.9th percentile of decisions", "storm of edits: 99.9th percentile",
		"storm of edits: longest decision", "memory after 60 edits",
		"edit to live: one key of data.json, rename-save", "throughput", "allocations per decision",
	} {
		if strings.HasPrefix(want, "memory") && runtime.GOOS != "linux" {
			continue
		}
		if !slices.Contains(measured, want) {
			t.Errorf("no row %q:\n%s", want, output)
		}
	}
	if r.Failed > 0 {
		t.Errorf("decisions failed: %v", r.Failures)
	}
}

func TestADecisionIsMeasuredForEachInputOfAKind(t *testing.T) {
	r, output := runSmall(t, "-opa", "", "-only", "decide (rbac|gateway)")
	if len(r.Rows) != 2*3*5 {
		t.Fatalf("%d rows:\n%s", len(r.Rows), output)
	}
	for _, w := range r.Rows {
		s := w.Programs[sidecarName]
		if s.Count == 0 || w.InputBytes == 0 || s.Median <= 0 && w.Measure != decideTime { // its tick is 10 ms
			t.Errorf("%s, %s: %d bytes of input, %+v", w.Measure, w.Corpus, w.InputBytes, s)
		}
	}
	for _, want := range []string{"| rbac, large", "| gateway, small", "±"} {
		if !strings.Contains(output, want) {
			t.Errorf("the table has no %q:\n%s", want, output)
		}
	}
	if strings.Contains(output, "| measure") {
		t.Errorf("an empty table of other measures:\n%s", output)
	}
}

func TestRunComparesWithOPA(t *testing.T) {
	opa, err := exec.LookPath("../../bin/peers/opa")
	if err != nil {
		if opa, err = exec.LookPath("opa"); err != nil {
			t.Skip("NO OPA, NO COMPARISON: run `make bench-peers` to install it")
		}
	}
	r, output := runSmall(t, "-opa", opa, "-only", "start|edit|storm|memory|data|throughput|decide kubernetes")
	if r.Agreed == 0 || len(r.Disagreements) > 0 {
		t.Errorf("%d answers compared, %v differ", r.Agreed, r.Disagreements)
	}
	for _, w := range r.Rows {
		if w.Ratio == nil && w.Programs[opaName].NeverLive == 0 {
			t.Errorf("%s, %s has no ratio:\n%s", w.Measure, w.Corpus, output)
		}
	}
}

func TestInterruptedRunCleansUp(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out strings.Builder
	progress := writerFunc(func(text []byte) (int, error) {
		cancel() // when the first measure is done
		return len(text), nil
	})
	args := slices.Concat(quick, []string{"-sidecar", sidecar(t), "-opa", ""})
	if code := run(ctx, args, &out, progress); code != 1 {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(out.String(), "start to first answer") {
		t.Errorf("the results so far are missing:\n%s", out.String())
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }

func TestMissingSidecarIsReported(t *testing.T) {
	var out strings.Builder
	code := run(t.Context(), []string{"-sidecar", filepath.Join(t.TempDir(), "none")}, &out, &out)
	if code != 1 || !strings.Contains(out.String(), "make build") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

func TestErrorHasOutputOfExitedProgram(t *testing.T) {
	home := t.TempDir()
	p := peer{name: "broken", program: sidecar(t), args: func(_, _, _ string) []string {
		return []string{"serve", "--api-port", "x"}
	}}
	running, err := p.start(t.Context(), home, home)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(running)
	defer s.close()
	_, err = s.waitFor(t.Context(), steadyDecision(), patience)
	if err == nil || !strings.Contains(err.Error(), "api-port") {
		t.Errorf("the error is %v", err)
	}
}

func TestBrokenEditIsNeverLive(t *testing.T) {
	s := startSidecar(t, "", "")
	good := leafEdit(3)
	good.first = steadyDecision()
	broken := good
	broken.text += "\nbroken := := 1\n"
	e, err := s.edit(t.Context(), broken, renameSave, steadyDecision(), 300*time.Millisecond)
	if err != nil || e.live {
		t.Errorf("a broken edit went live: %+v, %v", e, err)
	}
	if s.failed > 0 {
		t.Errorf("decisions failed: %v", s.failure)
	}
	e, err = s.edit(t.Context(), good, renameSave, steadyDecision(), patience)
	if err != nil || !e.live || e.maxDecision == 0 || e.firstDecision == 0 {
		t.Errorf("a good edit: %+v, %v", e, err)
	}
}

func TestDifferentAnswersAreReported(t *testing.T) {
	one, other := startSidecar(t, "", ""), startSidecar(t, corpus.TenantPath(2), corpus.Tenant(2, 9))
	sc := tenants(10)
	sc.questions = []corpus.Question{{Path: "tenants/t2/version"}, {Path: "tenants/t3/version"}}
	r := &editRun{bench: &bench{report: newReport()}, scenario: sc, sessions: []*session{one, other}}
	if err := r.compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.report.Disagreements; r.report.Agreed != 2 || len(got) != 1 || !strings.Contains(got[0], "t2/version") {
		t.Errorf("%d compared, different: %v", r.report.Agreed, got)
	}
}

func TestWrongDecisionsAreCounted(t *testing.T) {
	s := startSidecar(t, "", "")
	q := steadyDecision()
	q.Result = "false"
	latencies, err := s.decisionsDuring(t.Context(), q, func() error { return sleep(t.Context(), 50*time.Millisecond) })
	if err != nil || s.failed == 0 || s.failed != len(latencies) || s.failure == nil {
		t.Errorf("%d of %d failed: %v, %v", s.failed, len(latencies), s.failure, err)
	}
}

func TestConnReconnectsAfterAnError(t *testing.T) {
	s := startSidecar(t, "", "")
	c, r := conn{addr: s.addr}, s.dataRequest(steadyDecision())
	defer c.close()
	for range 3 {
		if _, err := c.do(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	c.net.Close()
	if _, err := c.do(t.Context(), r); err == nil {
		t.Error("a closed connection answered")
	}
	if got, err := c.result(t.Context(), r); err != nil || got != "true" {
		t.Errorf("%s, %v", got, err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.do(cancelled, r); !errors.Is(err, context.Canceled) {
		t.Errorf("sent after ctx was cancelled: %v", err)
	}
}

func TestLoadRefusesAWrongAnswer(t *testing.T) {
	l := &loaded{session: startSidecar(t, "", "")}
	q := corpus.Question{Path: "tenants/t5/version", Input: "{}", Result: "0"}
	latencies, err := l.underLoad(t.Context(), 2, 50*time.Millisecond, []corpus.Question{q})
	if err != nil || len(latencies) == 0 || !slices.IsSorted(latencies) {
		t.Errorf("%d answers, %v", len(latencies), err)
	}
	q.Result = "1"
	_, err = l.underLoad(t.Context(), 2, 50*time.Millisecond, []corpus.Question{q})
	if err == nil || !strings.Contains(err.Error(), "t5/version") {
		t.Errorf("a wrong answer is counted: %v", err)
	}
}

func TestThePackIsStartedAlone(t *testing.T) {
	r, output := runSmall(t, "-opa", "", "-only", "default")
	if len(r.Rows) == 0 || r.Rows[0].Measure != "start to first answer" || r.Rows[0].Programs[sidecarName].Count != 2 {
		t.Errorf("%+v\n%s", r.Rows, output)
	}
	for _, row := range r.Rows {
		if row.Corpus != "the default pack" {
			t.Errorf("%s of %s is measured too", row.Measure, row.Corpus)
		}
	}
}
