package sidecar_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/events"
	"defenseclaw/api/judge"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// model is an endpoint that speaks OpenAI's protocol and finds nothing. It waits before an answer if gate
// holds a channel.
type model struct {
	*httptest.Server
	gate chan chan struct{} // the next call tells that it arrived, and waits
}

func newModel(t *testing.T) *model {
	m := &model{gate: make(chan chan struct{}, 1)}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // before it waits, so that a caller that leaves is noticed
		select {
		case arrived := <-m.gate:
			arrived <- struct{}{}
			<-arrived
		default:
		}
		answer, _ := json.Marshal(map[string]any{
			"Email Address": none, "IP Address": none, "Phone Number": none, "Driver's License Number": none,
			"Passport Number": none, "Social Security Number": none, "Username": none, "Password": none,
		})
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"id": "1", "object": "chat.completion", "created": 1, "model": "m",
			"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": string(answer)}}},
		})
	}))
	t.Cleanup(m.Close)
	return m
}

var none = map[string]any{"detection_result": false, "entities": []string{}}

// rig is a sidecar with everything on, and all that it says.
type rig struct {
	*sidecar.Sidecar
	dir    string
	client *api.Client
	model  *model
	hup    chan os.Signal
	logged *observer.ObservedLogs
	events chan events.Event
	atLog  chan seen // what could be seen at the moment that a reload was logged
}

// seen is what the outside can see at one moment.
type seen struct {
	generation uint64
	metric     string
	audit      string
}

func newRig(t *testing.T, watch bool) *rig {
	top := t.TempDir()
	r := &rig{dir: filepath.Join(top, "pol"), model: newModel(t), hup: make(chan os.Signal, 1), events: make(chan events.Event, 64), atLog: make(chan seen, 64)}
	r.write(t, "p.rego", "package p\nx := 1\n")
	state := filepath.Join(top, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("judge: {base_url: %s, model: m, cache_ttl: 1h, kinds: [pii]}\n", r.model.URL)
	if err := os.WriteFile(filepath.Join(state, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{
		"DEFENSECLAW_POLICY_DIR": r.dir, "DEFENSECLAW_HOME": state, "DEFENSECLAW_API_PORT": "0", "DEFENSECLAW_GATEWAY_TOKEN": token,
		"DEFENSECLAW_WATCH": fmt.Sprint(watch), "DEFENSECLAW_SAFETY_INTERVAL": "1h", "DEFENSECLAW_FULL_CHECK_INTERVAL": "1h",
	}
	getenv := func(name string) string { return environment[name] }
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, getenv)
	if err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zap.InfoLevel)
	r.logged = logged
	logger := zap.New(zapcore.RegisterHooks(core, func(e zapcore.Entry) error {
		if strings.HasPrefix(e.Message, "policy re") || e.Message == "policy unchanged" {
			r.atLog <- r.look()
		}
		return nil
	}))
	if r.Sidecar, err = sidecar.New(sidecar.Config{Settings: set, HUP: r.hup, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	r.client = &api.Client{Addr: r.Addr(), Token: token, Timeout: patience}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- r.Run(ctx, func() { close(ready) }) }()
	<-ready
	streamed := r.stream(ctx, t)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-streamed
	})
	return r
}

// write saves as editors do: whole, by a rename.
func (r *rig) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(filepath.Dir(r.dir), "save")
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, filepath.Join(r.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) do(method, path string, body any) (int, []byte) {
	text, err := json.Marshal(body)
	if body == nil {
		text = nil
	}
	if err != nil {
		return 0, []byte(err.Error())
	}
	request, err := http.NewRequest(method, "http://"+r.Addr()+path, bytes.NewReader(text))
	if err != nil {
		return 0, []byte(err.Error())
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("X-DefenseClaw-Client", "test")
	request.Header.Set("X-Request-Id", "request-of-the-test")
	request.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return response.StatusCode, answer
}

// look sees what can be seen now.
func (r *rig) look() seen {
	var now seen
	for line := range strings.Lines(r.metrics()) {
		if strings.HasPrefix(line, "defenseclaw_policy_reloads_total{") {
			now.metric += strings.TrimPrefix(line, "defenseclaw_policy_reloads_total")
		}
		if _, err := fmt.Sscanf(line, "defenseclaw_policy_generation %d", &now.generation); err != nil {
			continue
		}
	}
	if answer, err := r.client.Records(context.Background(), audit.Filter{Limit: 1}); err == nil && len(answer.Records) == 1 {
		last := answer.Records[0]
		now.audit = fmt.Sprintf("%s %s by %s", last.Action, last.Outcome, last.Actor)
	}
	return now
}

func (r *rig) metrics() string {
	_, text := r.do(http.MethodGet, "/metrics", nil)
	return string(text)
}

// stream reads the events from the first on until the sidecar ends it.
func (r *rig) stream(ctx context.Context, t *testing.T) <-chan struct{} {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, "http://"+r.Addr()+"/policy/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Last-Event-ID", "AAAAAAAA-1")                                                // of another run: the stream begins with all kept events
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request) //nolint:bodyclose // the reader below closes it
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer response.Body.Close()
		kind := ""
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = name
			}
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			var e events.Event
			if ok && kind == "lifecycle" && json.Unmarshal([]byte(data), &e) == nil && e.Subsystem == "policy" {
				r.events <- e
			}
		}
	}()
	return ended
}

const text = "a text for the judge to read"

// verdict asks the judge for one on the text.
func (r *rig) verdict() (v judge.Verdict, err error) {
	status, body := r.do(http.MethodPost, "/v1/guardrail/judge", map[string]any{"direction": "completion", "content": text})
	if err := json.Unmarshal(body, &v); err != nil || status != http.StatusOK || v.JudgeFailed {
		return v, fmt.Errorf("%d %s", status, body)
	}
	return v, nil
}

// judged says whether the verdict was kept, and under which generation.
func (r *rig) judged(t *testing.T) judge.Verdict {
	t.Helper()
	v, err := r.verdict()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// owner is the user of this process, who owns the files of tests, as actors are written.
func owner() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return "uid:" + u.Uid + " (" + u.Username + ")"
}

// TestAReloadGivesItsSevenSignalsInOrder: the answer, the generation, the verdict cache, the metric,
// the audit record, the event and the log, whatever asked.
func TestAReloadGivesItsSevenSignalsInOrder(t *testing.T) {
	for _, tt := range []struct {
		trigger, actor string
		ask            func(*testing.T, *rig)
	}{
		{"startup", owner(), nil},
		{"watch", owner(), func(*testing.T, *rig) {}},
		{"signal", "SIGHUP, " + owner(), func(_ *testing.T, r *rig) { r.hup <- os.Interrupt }},
		{"api", "default", func(t *testing.T, r *rig) {
			status, body := r.do(http.MethodPost, "/policy/reload", nil)
			if status != http.StatusOK || !bytes.Contains(body, []byte(`"status":"reloaded"`)) || !bytes.Contains(body, []byte(`"generation":2`)) {
				t.Errorf("%d %s", status, body)
			}
		}},
	} {
		t.Run(tt.trigger, func(t *testing.T) {
			r := newRig(t, tt.trigger == "watch")
			generation, metric := uint64(1), `{policy_status="failed"} 0`+"\n"+`{policy_status="success"} 1`+"\n"
			if tt.ask != nil {
				if r.judged(t).Cached || !r.judged(t).Cached {
					t.Error("the first verdict is kept, and only the first is asked for")
				}
				receive(t, r.atLog, "log at the start")
				receive(t, r.events, "event of the start")
				r.write(t, "p.rego", "package p\nx := 2\n")
				tt.ask(t, r)
				generation, metric = 2, strings.Replace(metric, "} 1", "} 2", 1)
			}
			at := receive(t, r.atLog, "log")
			if want := (seen{generation, metric, "policy-reload applied by " + tt.actor}); at != want {
				t.Errorf("when the reload was logged one saw\n%+v; want\n%+v", at, want)
			}
			e := receive(t, r.events, "event")
			if e.Subsystem != "policy" || e.Transition != "reloaded" || e.Details["trigger"] != tt.trigger || e.Details["generation"] != float64(generation) {
				t.Errorf("event %+v", e)
			}
			if v := r.judged(t); v.Cached || v.Generation != generation {
				t.Errorf("the verdict of the policy before is served: %+v", v)
			}
			logged := r.logged.FilterMessage("policy reloaded").All()
			if last := logged[len(logged)-1].ContextMap(); last["trigger"] != tt.trigger || last["transition"] != "reloaded" {
				t.Errorf("log %v", last)
			}
			want := []string{"judge", "metrics", "audit", "events", "log", "history", "review"}
			if runtime.GOOS == "linux" { // where queries are isolated by default
				want = append(want, "workers")
			}
			if got := r.Announced(); !slices.Equal(got, want) {
				t.Errorf("announced in the order %v; want %v", got, want)
			}
			status, body := r.do(http.MethodPost, "/v1/data/p/x", nil)
			if want := fmt.Sprintf(`"result":%d`, generation); status != http.StatusOK || !bytes.Contains(body, []byte(want)) {
				t.Errorf("%d %s; want %s", status, body, want)
			}
		})
	}
}

// TestARefusedReloadIsReportedAndChangesNothing is the other half.
func TestARefusedReloadIsReportedAndChangesNothing(t *testing.T) {
	r := newRig(t, false)
	receive(t, r.atLog, "log at the start")
	receive(t, r.events, "event of the start")
	r.judged(t)
	r.write(t, "p.rego", "package p\nx := := 2\n")
	status, body := r.do(http.MethodPost, "/policy/reload", nil)
	if status != http.StatusInternalServerError || !bytes.Contains(body, []byte(`"file":"p.rego","line":2`)) {
		t.Errorf("%d %s", status, body)
	}
	if at := receive(t, r.atLog, "log"); at.generation != 1 || at.audit != "policy-reload failed by default" ||
		!strings.Contains(at.metric, `"failed"} 1`) || !strings.Contains(at.metric, `"success"} 1`) {
		t.Errorf("%+v", at)
	}
	if e := receive(t, r.events, "event"); e.Transition != "reload-failed" || e.Details["diagnostics"] == nil {
		t.Errorf("%+v", e)
	}
	if !r.judged(t).Cached {
		t.Error("a refused reload emptied the verdict cache")
	}
	r.write(t, "p.rego", "package p\nx := 1\n")
	if status, body := r.do(http.MethodPost, "/policy/reload", nil); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if e := receive(t, r.events, "event"); e.Transition != "recovered" || r.judged(t).Cached {
		t.Errorf("%+v; a reload that was asked for keeps no verdict", e)
	}
	answer, err := r.client.Records(t.Context(), audit.Filter{Action: audit.ActionPolicyReload, Outcome: audit.OutcomeFailed})
	if err != nil || len(answer.Records) != 1 || answer.Records[0].RequestID != "request-of-the-test" || !bytes.Contains(answer.Records[0].Details, []byte("p.rego")) {
		t.Errorf("%+v, %v", answer, err)
	}
}

// TestAVerdictThatCrossesAReloadIsNotKept, neither for the old policy nor for the new one.
func TestAVerdictThatCrossesAReloadIsNotKept(t *testing.T) {
	r := newRig(t, false)
	arrived := make(chan struct{})
	r.model.gate <- arrived
	done := make(chan judge.Verdict, 1)
	go func() {
		v, err := r.verdict()
		if err != nil {
			t.Error(err)
		}
		done <- v
	}()
	<-arrived
	r.write(t, "p.rego", "package p\nx := 2\n")
	if status, body := r.do(http.MethodPost, "/policy/reload", nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	arrived <- struct{}{}
	if v := receive(t, done, "verdict"); v.Generation != 1 {
		t.Errorf("a call that began under generation 1 says %d", v.Generation)
	}
	if v := r.judged(t); v.Cached || v.Generation != 2 {
		t.Errorf("the old policy's verdict is kept for the new one: %+v", v)
	}
	if v := r.judged(t); !v.Cached {
		t.Errorf("the new policy's own verdict is not kept: %+v", v)
	}
}

// TestAnUnrecordedReloadIsLiveAndReported, and is on record once that can be written again.
func TestAnUnrecordedReloadIsLiveAndReported(t *testing.T) {
	r := newRig(t, false)
	db, err := sql.Open("sqlite", filepath.Join(filepath.Dir(r.dir), "state", "sidecar-audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	r.write(t, "p.rego", "package p\nx := 2\n")
	status, body := r.do(http.MethodPost, "/policy/reload", nil)
	if status != http.StatusInternalServerError || !bytes.Contains(body, []byte(`"error":"policy reloaded but compliance logging failed"`)) || bytes.Contains(body, []byte(`"status"`)) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := r.do(http.MethodPost, "/v1/data/p/x", nil); status != http.StatusOK || !bytes.Contains(body, []byte(`"result":2`)) {
		t.Errorf("%d %s", status, body)
	}
	if now, err := r.client.Status(t.Context()); err != nil || now.State != "current" || now.Audit.OK || now.Audit.Backlog != 1 || !strings.Contains(now.Audit.Error, "locked") {
		t.Errorf("%+v, %v", now, err)
	}
	if n := r.logged.FilterMessage("a reload could not be announced").Len(); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if status, body := r.do(http.MethodPost, "/policy/reload", nil); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	answer, err := r.client.Records(t.Context(), audit.Filter{Action: audit.ActionPolicyReload})
	var generations []uint64
	for _, record := range answer.Records {
		generations = append(generations, record.Generation)
	}
	if err != nil || !slices.Equal(generations, []uint64{2, 2, 1}) {
		t.Errorf("on record are the reloads to %v, %v", generations, err)
	}
}
