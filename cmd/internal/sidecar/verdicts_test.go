package sidecar_test

import (
	"net/http"
	"os"
	"testing"
)

// TestAReloadThatIsAskedForForgetsVerdicts although nothing changed: the model may be another one.
func TestAReloadThatIsAskedForForgetsVerdicts(t *testing.T) {
	r := newRig(t, false)
	receive(t, r.atLog, "log at the start")
	for name, ask := range map[string]func(){
		"POST":    func() { r.do(http.MethodPost, "/policy/reload", nil) },
		"SIGHUP":  func() { r.hup <- os.Interrupt; receive(t, r.atLog, "log") },
		"command": func() { _, _ = r.client.Reload(t.Context()) },
	} {
		r.judged(t)
		if !r.judged(t).Cached {
			t.Errorf("%s: the verdict before is not kept", name)
		}
		ask()
		if name != "SIGHUP" {
			receive(t, r.atLog, "log")
		}
		if v := r.judged(t); v.Cached || v.Generation != 1 {
			t.Errorf("%s: %+v; want a new verdict of the same generation", name, v)
		}
	}
}

// TestAWatchThatFindsNothingKeepsVerdicts: files are touched, and say the same.
func TestAWatchThatFindsNothingKeepsVerdicts(t *testing.T) {
	r := newRig(t, true)
	r.judged(t)
	receive(t, r.events, "event of the start")
	r.write(t, "p.rego", "package p\nx := := 1\n")
	receive(t, r.events, "event of the refusal")
	r.write(t, "p.rego", "package p\nx := 1\n")
	if e := receive(t, r.events, "event"); e.Transition != "recovered" || !r.judged(t).Cached {
		t.Errorf("%+v; the policy is the one that the verdict was given under", e)
	}
}

// TestAVerdictThatCrossesAnUnchangedReloadIsNotKept: the model may have been another one when it was asked.
func TestAVerdictThatCrossesAnUnchangedReloadIsNotKept(t *testing.T) {
	r := newRig(t, false)
	arrived := make(chan struct{})
	r.model.gate <- arrived
	done := make(chan error, 1)
	go func() {
		_, err := r.verdict()
		done <- err
	}()
	<-arrived
	if status, body := r.do(http.MethodPost, "/policy/reload", nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	arrived <- struct{}{}
	if err := receive(t, done, "verdict"); err != nil {
		t.Error(err)
	}
	if r.judged(t).Cached {
		t.Error("the verdict that was asked for before the reload is kept")
	}
}
