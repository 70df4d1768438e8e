package decisionlog_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/api/decisionlog"
	"defenseclaw/api/internal/decision"

	"github.com/open-policy-agent/opa/v1/ast"
)

var plain = map[string]string{"p.rego": "package p\nx := input"}

func TestTheFileIsPrivateAndRotates(t *testing.T) {
	name := filepath.Join(t.TempDir(), "decisions.log")
	l := run(t, decisionlog.Config{File: name, FileMegabytes: 1, FileBackups: 1})
	g := load(t, plain)
	const events, each = 60, 100_000
	for i := range events {
		decide(t, l.Log, g, "p/x", `"`+strings.Repeat("x", each/2)+strconv.Itoa(i)+`"`)
		eventually(t, "the event is written", func() bool { return l.Health().Written[decisionlog.SinkFile] == uint64(i+1) })
	}
	l.stopped()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(name), "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v %v: the file and one that was put aside were expected", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() > 1<<20 {
			t.Errorf("%s: mode %s, %d bytes, %v", f, info.Mode(), info.Size(), err)
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(parseLines(t, string(b))); n < 4 {
			t.Errorf("%s has %d events", f, n)
		}
	}
}

func TestAnUnwritableFileIsRefusedAtTheStart(t *testing.T) {
	_, err := decisionlog.New(decisionlog.Config{File: filepath.Join(t.TempDir(), "none", "decisions.log")})
	if err == nil || !strings.Contains(err.Error(), "decision log: open ") {
		t.Errorf("%v", err)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for _, cfg := range []decisionlog.Config{
		{URL: "localhost:8080"}, {URL: "ftp://localhost"}, {URL: "http://"}, {URL: "://"},
		{MinDelay: 2, MaxDelay: 1}, {MinDelay: -1}, {UploadBytes: 10}, {BufferBytes: -1}, {FileBackups: -1}, {FileMegabytes: -1},
	} {
		if _, err := decisionlog.New(cfg); err == nil || !strings.HasPrefix(err.Error(), "decision log: ") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestEventsBeyondTheQueueAreDroppedAndCounted(t *testing.T) {
	g := load(t, plain)
	l, err := decisionlog.New(decisionlog.Config{BufferBytes: 300_000}) // which does not run
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		decide(t, l, g, "p/x", `"`+strings.Repeat("x", 50_000)+`"`)
	}
	if got := l.Health().Dropped[decisionlog.DroppedQueue]; got != 3 {
		t.Errorf("%d were dropped: 3 was expected, since input and result of 2 fit", got)
	}
	l, err = decisionlog.New(decisionlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 8192 + 7 {
		decide(t, l, g, "p/x", "1")
	}
	if got := l.Health().Dropped[decisionlog.DroppedQueue]; got != 7 {
		t.Errorf("%d were dropped: the 7 that were too many were expected", got)
	}
}

func TestABlockedConsoleDelaysNoDecision(t *testing.T) {
	g := load(t, plain)
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		l, err := decisionlog.New(decisionlog.Config{Console: write})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		began := time.Now()
		for range 8192 + 2 {
			decide(t, l, g, "p/x", "1")
		}
		synctest.Wait()
		decide(t, l, g, "p/x", "1")
		if took := time.Since(began); took != 0 { // in a bubble, time passes only while all wait
			t.Errorf("decisions waited for %s", took)
		}
		cancel()
		if err := <-done; err != nil || time.Since(began) != 6*time.Second {
			t.Errorf("Run returned %v after %s", err, time.Since(began))
		}
		dropped := l.Health().Dropped
		if dropped[decisionlog.DroppedQueue]+dropped[decisionlog.DroppedShutdown] != 8192+3 || dropped[decisionlog.DroppedQueue] == 0 {
			t.Errorf("dropped %v", dropped)
		}
		if err := read.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAFailingConsoleIsCounted(t *testing.T) {
	read, write := io.Pipe()
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	l := run(t, decisionlog.Config{Console: write})
	decide(t, l.Log, load(t, plain), "p/x", "1")
	l.stopped()
	if got := l.Health(); got.Dropped[decisionlog.DroppedConsole] != 1 || got.Written[decisionlog.SinkConsole] != 0 {
		t.Errorf("%+v", got)
	}
}

func TestADecisionThatIsLargerThanTheBufferIsDropped(t *testing.T) {
	l := run(t, decisionlog.Config{Console: &buffer{}, BufferBytes: 100_000})
	g := load(t, map[string]string{"p.rego": "package p\n"})
	result := ast.StringTerm("small in memory, with a text that would have no end")
	for range 60 {
		result = ast.ArrayTerm(result, result)
	}
	for _, answer := range []any{result.Value, map[string]any{"x": []any{strings.Repeat("x", 100_000)}}} {
		l.Begin(t.Context(), g, decision.Question{ID: "large"})(decision.Answer{Result: answer, Defined: true})
	}
	if got := l.Health().Dropped[decisionlog.DroppedQueue]; got != 2 {
		t.Errorf("%d of 2 decisions were dropped", got)
	}
}
