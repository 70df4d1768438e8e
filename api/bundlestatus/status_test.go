package bundlestatus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/api/bundlestatus"

	"github.com/open-policy-agent/opa/v1/plugins/status"
)

// TestTheMessageIsWhatOPASends reads a message with every field as OPA's own type.
func TestTheMessageIsWhatOPASends(t *testing.T) {
	at := time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
	text, err := json.Marshal(bundlestatus.Update{
		Labels: map[string]string{"id": "x"},
		Bundles: map[string]bundlestatus.Bundle{"b": {
			Name: "b", ActiveRevision: "1", LastSuccessfulActivation: at, Type: "snapshot", Size: 7, LastSuccessfulDownload: at, LastSuccessfulRequest: at,
			LastRequest: at, Code: bundlestatus.ErrorCode, Message: "m", HTTPCode: 404,
		}},
		Plugins: map[string]bundlestatus.Plugin{"bundle": {State: bundlestatus.StateOK}},
	})
	if err != nil {
		t.Fatal(err)
	}
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	var theirs status.UpdateRequestV1
	if err := strict.Decode(&theirs); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal(text, &want), json.Unmarshal(again, &got)); err != nil {
		t.Fatal(err)
	}
	if a, b := canonical(t, want), canonical(t, got); a != b {
		t.Errorf("OPA's type has\n%s of\n%s", b, a)
	}
}

func canonical(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// answers is a service that gives one after another, and then the last.
type answers struct {
	list []int

	mu  sync.Mutex
	got int
}

// count is how many messages it got.
func (a *answers) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.got
}

func (a *answers) post(context.Context, []byte) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	status := a.list[min(a.got, len(a.list)-1)]
	a.got++
	if status == 0 {
		return nil, errors.New("nobody answers")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(bytes.NewReader(nil))}, nil
}

func run(t *testing.T, cfg bundlestatus.Config) (*bundlestatus.Sender, func()) {
	t.Helper()
	cfg.Now = func() bundlestatus.Update { return bundlestatus.Update{} }
	s := bundlestatus.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestChangesAreToldAndTheRestFromTimeToTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &answers{list: []int{200}}
		s, stop := run(t, bundlestatus.Config{Post: service.post})
		for range 5 {
			s.Changed() // one message says all
		}
		synctest.Wait()
		if service.count() < 1 || service.count() > 2 {
			t.Error(service.count(), "messages for changes")
		}
		before := service.count()
		time.Sleep(2 * bundlestatus.DefaultInterval)
		synctest.Wait()
		if service.count() == before {
			t.Error("nothing was told while nothing changed")
		}
		stop()
	})
}

func TestWhatWasNotTakenIsSentAgainWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &answers{list: []int{0, 503, 403, 200}}
		s, stop := run(t, bundlestatus.Config{Post: service.post})
		for range 1000 {
			s.Changed()
			time.Sleep(time.Millisecond)
		}
		if service.count() > 4 {
			t.Error(service.count(), "messages in a second to a service that takes none")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if service.count() < 4 {
			t.Error(service.count(), "messages")
		}
		stop()
	})
}

func TestNobodyToTellIsNoFault(*testing.T) {
	var s *bundlestatus.Sender
	s.Changed()
}
