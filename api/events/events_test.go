package events

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"
)

func create(t *testing.T, cfg Config) *Hub {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func serve(t *testing.T, h *Hub) *httptest.Server {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// reader reads one stream with an independent parser.
type reader struct {
	t      *testing.T
	next   func() (sse.Event, error, bool)
	lastID string
	stop   func()
}

// open begins to read after that id and, where there is none, waits for the greeting: from then on
// nothing is missed.
func open(t *testing.T, server *httptest.Server, id string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	response := request(ctx, t, server, http.MethodGet, id)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET: %s", response.Status)
	}
	next, stop := iter.Pull2(iter.Seq2[sse.Event, error](sse.Read(response.Body, &sse.ReadConfig{MaxEventSize: 1 << 24})))
	r := &reader{t: t, next: next, lastID: id}
	r.stop = sync.OnceFunc(func() { cancel(); response.Body.Close(); stop() })
	t.Cleanup(r.stop)
	if id == "" {
		if hello := r.read(); hello.Type != "" || hello.Data != "" || hello.LastEventID == "" {
			t.Fatalf("a greeting was expected: %+v", hello)
		}
	}
	return r
}

func request(ctx context.Context, t *testing.T, server *httptest.Server, method, id string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if id != "" {
		request.Header.Set("Last-Event-ID", id)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func (r *reader) read() sse.Event {
	r.t.Helper()
	e, err, ok := r.next()
	if err != nil || !ok {
		r.t.Fatalf("the stream ended: %v", err)
	}
	r.lastID = e.LastEventID
	return e
}

// expect reads events with these transitions, and nothing between them.
func (r *reader) expect(transitions ...string) {
	r.t.Helper()
	for _, want := range transitions {
		e := r.read()
		var got Event
		if err := json.Unmarshal([]byte(e.Data), &got); err != nil || e.Type != "lifecycle" || got.Transition != want {
			r.t.Fatalf("%q was expected: %+v, %v", want, e, err)
		}
	}
}

// expectGap reads what tells of a gap.
func (r *reader) expectGap(data string) {
	r.t.Helper()
	if e := r.read(); e.Type != "gap" || e.Data != data {
		r.t.Fatalf("a gap %s was expected: %+v", data, e)
	}
}

func publish(h *Hub, transitions ...string) {
	for _, transition := range transitions {
		h.Publish(Event{Subsystem: "policy", Transition: transition})
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestAnEventIsWrittenAsTheContractSays(t *testing.T) {
	h := create(t, Config{})
	server := serve(t, h)
	r := open(t, server, "")
	at := time.Date(2026, 8, 25, 10, 0, 0, 5e8, time.UTC)
	published := h.Publish(Event{Time: at, Subsystem: "policy", Transition: "reloaded", Details: map[string]any{"generation": 7, "text": "a\nb"}})
	if published.ID != 1 {
		t.Errorf("id %d", published.ID)
	}
	e := r.read()
	const want = `{"time":"2026-08-25T10:00:00.5Z","subsystem":"policy","transition":"reloaded","details":{"generation":7,"text":"a\nb"}}`
	if e.Type != "lifecycle" || e.Data != want || e.LastEventID != h.run+"-1" {
		t.Errorf("%+v", e)
	}
	h.Publish(Event{Subsystem: "policy", Transition: "restored"})
	if e := r.read(); !strings.HasSuffix(e.Data, `"details":{}}`) || strings.Contains(e.Data, "0001-01-01") {
		t.Errorf("without time and details: %s", e.Data)
	}
}

func TestAStreamIsNeitherCachedNorBuffered(t *testing.T) {
	server := serve(t, create(t, Config{}))
	response := request(t.Context(), t, server, http.MethodHead, "")
	defer response.Body.Close()
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestEveryReaderGetsAllEventsInOrder(t *testing.T) {
	h := create(t, Config{Keep: 4096})
	server := serve(t, h)
	var readers []*reader
	for range 4 {
		readers = append(readers, open(t, server, ""))
	}
	const publishers, each = 4, 100
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for range each {
				publish(h, "reloaded")
			}
		})
	}
	all.Wait()
	for _, r := range readers {
		for n := 1; n <= publishers*each; n++ {
			if e := r.read(); e.LastEventID != fmt.Sprintf("%s-%d", h.run, n) {
				t.Fatalf("event %d has the id %s", n, e.LastEventID)
			}
		}
	}
}

func TestAReconnectingReaderGetsTheRest(t *testing.T) {
	h := create(t, Config{})
	server := serve(t, h)
	r := open(t, server, "")
	publish(h, "one", "two", "three")
	r.expect("one")
	r.stop()

	open(t, server, r.lastID).expect("two", "three")

	response, err := server.Client().Get(server.URL + "?last_event_id=" + h.run + "-2")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for e, err := range sse.Read(response.Body, nil) {
		if err != nil || !strings.Contains(e.Data, "three") {
			t.Errorf("by the query: %+v, %v", e, err)
		}
		break
	}
}

func TestTheHeaderTakesPrecedenceOverTheQuery(t *testing.T) {
	h := create(t, Config{})
	server := serve(t, h)
	publish(h, "one", "two", "three")
	server.URL += "?last_event_id=" + h.run + "-0"
	open(t, server, h.run+"-2").expect("three")
}

func TestAReaderCutOffBeforeItsFirstEventMissesNone(t *testing.T) {
	h := create(t, Config{})
	server := serve(t, h)
	publish(h, "before")
	r := open(t, server, "")
	r.stop()
	publish(h, "meanwhile")
	open(t, server, r.lastID).expect("meanwhile")
}

func TestAGapIsSentOnceThenTheKeptEvents(t *testing.T) {
	for _, c := range []struct {
		name string
		id   func(h *Hub) string
		want string
	}{
		{"no longer kept", func(h *Hub) string { return h.run + "-2" }, `{"reason":"expired","missed":1}`},
		{"of another run", func(*Hub) string { return "AAAAAAAA-4" }, `{"reason":"restarted","missed":0}`},
		{"of the future", func(h *Hub) string { return h.run + "-99" }, `{"reason":"unknown","missed":0}`},
		{"not an id", func(*Hub) string { return "yesterday" }, `{"reason":"unknown","missed":0}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := create(t, Config{Keep: 3})
			server := serve(t, h)
			publish(h, "1", "2", "3", "4", "5", "6")
			r := open(t, server, c.id(h))
			r.expectGap(c.want)
			gapID := r.lastID
			r.expect("4", "5", "6")
			r.stop()
			open(t, server, gapID).expect("4", "5", "6")
		})
	}
}

func TestARestartWithoutEventsIsSentOnce(t *testing.T) {
	h := create(t, Config{})
	server := serve(t, h)
	r := open(t, server, "AAAAAAAA-4")
	r.expectGap(`{"reason":"restarted","missed":0}`)
	r.stop()
	again := open(t, server, r.lastID)
	publish(h, "reloaded")
	again.expect("reloaded")
}

func TestTwoRunsHaveDifferentIDs(t *testing.T) {
	if a, b := create(t, Config{}), create(t, Config{}); a.run == b.run {
		t.Errorf("both are %s", a.run)
	}
}

func TestASlowReaderIsDisconnected(t *testing.T) {
	h := create(t, Config{WriteTimeout: 20 * time.Millisecond, Keep: 64})
	server := serve(t, h)
	response := request(t.Context(), t, server, http.MethodGet, "")
	defer response.Body.Close()
	if _, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is dropped", func() bool {
		h.Publish(Event{Details: map[string]any{"text": strings.Repeat("x", 1<<18)}})
		return h.openStreams() == 0
	})
}

func TestRunEndsEveryStream(t *testing.T) {
	h := create(t, Config{})
	server := httptest.NewServer(h)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	readers := []*reader{open(t, server, ""), open(t, server, "")}
	cancel()
	run.Wait()
	for _, r := range readers {
		if e, err, ok := r.next(); ok {
			t.Errorf("after the end: %+v, %v", e, err)
		}
	}
	response := request(t.Context(), t, server, http.MethodGet, "")
	response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a later reader: %s", response.Status)
	}
	publish(h, "stopped") // still not an error
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	server.Close()
}

func TestAConnectionThatCannotStreamIsRefused(t *testing.T) {
	recorder := httptest.NewRecorder() // it knows no deadlines
	create(t, Config{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/policy/events", nil))
	if recorder.Code != http.StatusInternalServerError || !json.Valid(recorder.Body.Bytes()) {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
}

func TestInvalidDetailsAreReplacedByTheError(t *testing.T) {
	h := create(t, Config{})
	h.Publish(Event{Subsystem: "policy", Transition: "reloaded", Details: map[string]any{"ratio": math.NaN()}})
	e := open(t, serve(t, h), h.run+"-0").read()
	if !strings.Contains(e.Data, `"transition":"reloaded"`) || !strings.Contains(e.Data, "encoding_error") {
		t.Errorf("%s", e.Data)
	}
}

func TestPublishedEventsDoNotChange(t *testing.T) {
	h := create(t, Config{})
	details := map[string]any{"status": "as it was"}
	h.Publish(Event{Details: details})
	details["status"] = "changed"
	if e := open(t, serve(t, h), h.run+"-0").read(); !strings.Contains(e.Data, "as it was") {
		t.Errorf("%s", e.Data)
	}
}

func TestANegativeSettingIsRefused(t *testing.T) {
	if _, err := New(Config{Keep: -1}); err == nil {
		t.Error("accepted")
	}
}

func FuzzAnIDIsReadOnlyAsItIsWritten(f *testing.F) {
	h, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	publish(h, "1", "2")
	for _, id := range []string{"", h.run + "-1", "AAAAAAAA-18446744073709551615", "AAAAAAAA-18446744073709551616", "AAAAAAAA-01", "aaaaaaaa-1",
		"AAAAAAAA-+1", "AAAAAAAA--1", "-1", "AAAAAAAA-", "AAAAAAAA-1-1", "AAAAAAAA-1\n", "ÄAAAAAA-1"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		run, n, ok := parseID(id)
		if ok && (fmt.Sprintf("%s-%d", run, n) != id || strings.ContainsAny(id, " \r\n\x00")) {
			t.Errorf("%q was read as %s and %d", id, run, n)
		}
		after, hello := h.resume(id)
		if after > h.newest {
			t.Errorf("%q: a stream would begin after %d of %d", id, after, h.newest)
		}
		if id != h.run && strings.Contains(string(hello), id) && ok && run != h.run {
			t.Errorf("%q is sent back: %s", id, hello)
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	h, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		publish(h, "reloaded")
	}
}
