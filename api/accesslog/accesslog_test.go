package accesslog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/api/accesslog"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// written runs a log until it has written all that use hands over.
func written(t *testing.T, cfg accesslog.Config, use func(*accesslog.Log)) {
	t.Helper()
	l, err := accesslog.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	use(l)
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, text string) (all []accesslog.Entry) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e accesslog.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

func TestALineHasNumbersAndStaysALine(t *testing.T) {
	var b bytes.Buffer
	written(t, accesslog.Config{Writer: &b, Sample: 1}, func(l *accesslog.Log) {
		l.Write(accesslog.Entry{Time: time.Now().Add(-time.Second), Method: "GET", Path: "/a\nb\x1b[31m" + strings.Repeat("x", 5000), Status: 404, Bytes: 12})
	})
	got := entries(t, b.String())
	if len(got) != 1 || got[0].MS < 1000 || got[0].Status != 404 || got[0].Bytes != 12 || len(got[0].Path) != 1024 || strings.ContainsAny(b.String(), "\x1b") {
		t.Errorf("%+v: %q", got, b.String())
	}
	var raw map[string]any
	if err := json.Unmarshal(b.Bytes(), &raw); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ms", "status", "bytes", "sample"} {
		if _, number := raw[name].(float64); !number {
			t.Errorf("%s is %v", name, raw[name])
		}
	}
}

func TestASampleKeepsErrorsOfTheServer(t *testing.T) {
	var b bytes.Buffer
	const n = 2000
	written(t, accesslog.Config{Writer: &b, Sample: 0.1}, func(l *accesslog.Log) {
		for range n {
			l.Write(accesslog.Entry{Time: time.Now(), Status: 200})
		}
		l.Write(accesslog.Entry{Time: time.Now(), Status: 503})
	})
	got := entries(t, b.String())
	if len(got) < n/20 || len(got) > n/5 {
		t.Errorf("%d of %d", len(got), n)
	}
	if got[0].Sample != 0.1 || got[len(got)-1].Sample != 1 || got[len(got)-1].Status != 503 {
		t.Errorf("%+v %+v", got[0], got[len(got)-1])
	}
}

func TestWhatAQueueCannotTakeIsCountedInTheNextLine(t *testing.T) {
	var b bytes.Buffer
	const n, queue = 5000, 4096
	written(t, accesslog.Config{Writer: &b, Sample: 1}, func(l *accesslog.Log) {
		for range n {
			l.Write(accesslog.Entry{Time: time.Now()})
		}
	})
	if got := entries(t, b.String()); len(got) != queue || got[0].Dropped != n-queue || got[1].Dropped != 0 {
		t.Errorf("%d lines, %+v", len(got), got[0])
	}
}

type failing struct{ writes int }

func (f *failing) Write([]byte) (int, error) { f.writes++; return 0, errors.New("the disk is full") }

func TestADiskThatIsFullIsToldOnce(t *testing.T) {
	told, out := 0, &failing{}
	written(t, accesslog.Config{Writer: out, Sample: 1, Lost: func(error) { told++ }}, func(l *accesslog.Log) {
		for range 3 {
			l.Write(accesslog.Entry{Time: time.Now()})
		}
	})
	if told != 1 || out.writes != 3 {
		t.Error(told, out.writes)
	}
}

func TestAFileIsRotatedAndOnlyTheOwnerReadsIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.jsonl")
	written(t, accesslog.Config{File: file, Megabytes: 1, Backups: 2, Sample: 1}, func(l *accesslog.Log) {
		for range 1500 {
			l.Write(accesslog.Entry{Time: time.Now(), Path: strings.Repeat("p", 1024)})
		}
	})
	files, err := filepath.Glob(filepath.Join(filepath.Dir(file), "access*"))
	if err != nil || len(files) != 2 {
		t.Error(files, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if _, err := accesslog.New(accesslog.Config{File: filepath.Join(file, "x")}); err == nil || !strings.HasPrefix(err.Error(), "access log: ") {
		t.Error(err)
	}
}
