package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/api/audit"
)

func TestARecordIsReadBackAsItWasAppended(t *testing.T) {
	l := start(t, audit.Config{RunID: "run-1"})
	want := audit.Record{
		Time: time.Date(2026, 11, 23, 9, 30, 0, 120, time.FixedZone("", 3600)), Action: audit.ActionPolicyReload, Actor: "alice",
		Target: "/etc/policies", Outcome: audit.OutcomeFailed, Severity: "CRITICAL", RevisionFrom: "sha256:a", RevisionTo: "sha256:b",
		Generation: math.MaxInt64, RequestID: "r-1", Message: "über 'quoted' \"text\"\n", Details: json.RawMessage(`{ "a": [1, 2.50], "b": null }`),
	}
	if err := l.Append(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got := all(t, l)[0]
	if len(got.ID) != 36 || len(got.Hash) != 64 {
		t.Errorf("id %q, hash %q", got.ID, got.Hash)
	}
	want.Seq, want.ID, want.Hash, want.RunID = 1, got.ID, got.Hash, "run-1"
	want.Time, want.Details = want.Time.UTC(), json.RawMessage(`{"a":[1,2.50],"b":null}`)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEmptyFieldsGetDefaults(t *testing.T) {
	l := start(t, audit.Config{})
	before := time.Now()
	for _, outcome := range []string{"", audit.OutcomeFailed, audit.OutcomeRefused, audit.OutcomeUnchanged} {
		if err := l.Append(t.Context(), audit.Record{Action: "x", Outcome: outcome}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range all(t, l) {
		got = append(got, r.Actor+" "+r.Outcome+" "+r.Severity)
		if r.Time.Before(before.Add(-time.Second)) || r.Time.After(time.Now().Add(time.Second)) || r.RunID == "" || r.Details != nil {
			t.Errorf("%+v", r)
		}
	}
	want := []string{"defenseclaw applied INFO", "defenseclaw failed HIGH", "defenseclaw refused WARN", "defenseclaw unchanged INFO"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestOversizeAndHostileTextIsCutAndCleaned(t *testing.T) {
	l := start(t, audit.Config{})
	long := strings.Repeat("é", 10_000)
	r := audit.Record{Action: "a\x00b\xff", Target: long, Details: audit.JSON(map[string]string{"text": long})}
	if err := l.Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	got := all(t, l)[0]
	if got.Action != "a\uFFFDb\uFFFD" {
		t.Errorf("action %q", got.Action)
	}
	if !strings.HasPrefix(long, strings.TrimSuffix(got.Target, "…")) || len(got.Target) < 4000 || len(got.Target) > 4100 {
		t.Errorf("target of %d bytes", len(got.Target))
	}
	var d struct {
		Truncated      bool
		Bytes          int
		SHA256, Begins string
	}
	if err := json.Unmarshal(got.Details, &d); err != nil || !d.Truncated || d.Bytes != len(r.Details) ||
		len(d.SHA256) != 64 || !strings.HasPrefix(d.Begins, `{"text":"é`) {
		t.Errorf("details %+v, %v", d, err)
	}
	wantSound(t, l.path)
}

func TestInvalidRecordsAreRefusedByName(t *testing.T) {
	l := start(t, audit.Config{})
	for want, r := range map[string]audit.Record{
		"without an action":               {Target: "x"},
		"details are not JSON":            {Action: "x", Details: json.RawMessage(`{"a":`)},
		"generation 18446744073709551615": {Action: "x", Generation: math.MaxUint64},
	} {
		err := l.Append(t.Context(), r)
		if err == nil || !strings.Contains(err.Error(), want) || errors.As(err, new(*audit.NotDurableError)) {
			t.Errorf("%v; want one that says %q", err, want)
		}
	}
	if got := string(audit.JSON(func() {})); !strings.Contains(got, "not_encodable") || !json.Valid([]byte(got)) {
		t.Errorf("JSON of a function: %s", got)
	}
	l.add(t, "next")
	if got := actions(all(t, l)); !slices.Equal(got, []string{"next"}) {
		t.Errorf("got %v", got)
	}
}

func TestConcurrentAppendsFormOneChain(t *testing.T) {
	l := start(t, audit.Config{})
	const writers, each = 16, 40
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if err := l.Append(t.Context(), audit.Record{Action: "x", Actor: fmt.Sprint(w), Generation: uint64(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	records := all(t, l)
	if len(records) != writers*each {
		t.Fatalf("%d records", len(records))
	}
	next := map[string]uint64{}
	for i, r := range records {
		if r.Seq != int64(i+1) || r.Generation != next[r.Actor] {
			t.Fatalf("record %d has seq %d, generation %d of %s; want the order of appending", i, r.Seq, r.Generation, r.Actor)
		}
		next[r.Actor]++
	}
	report := wantSound(t, l.path)
	if h := l.Health(); !h.OK || h.Backlog != 0 || h.Lost != 0 || h.Written != writers*each ||
		h.Head != report.Head || h.ChainID != report.ChainID || h.Bytes == 0 {
		t.Errorf("%+v; report %+v", h, report)
	}
}

func TestRecordsSurviveARestartAndTheChainGoesOn(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "one", "two")
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(l.path + name); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	again := start(t, audit.Config{Path: l.path})
	again.add(t, "three")
	records := all(t, again)
	if got := actions(records); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Fatalf("got %v", got)
	}
	if records[0].RunID == records[2].RunID {
		t.Error("two runs have one run id")
	}
	wantSound(t, l.path)
}

func TestOnlyTheOwnerCanReadTheFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such modes")
	}
	dir := t.TempDir()
	l := start(t, audit.Config{Path: filepath.Join(dir, "a ?#%41.db")}) // what a URI would take apart
	l.add(t, "x")
	eventually(t, "what the next start compares is written", func() bool {
		_, err := os.Stat(witness(l.path))
		return err == nil
	})
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != 4 {
		t.Fatalf("%v, %v", found, err)
	}
	for _, f := range found {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(l.path, 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, audit.Config{Path: l.path}).add(t, "y")
	if info, err := os.Stat(l.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAppendWaitsForRunUntilItsContextEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	l, err := audit.New(audit.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = l.Append(ctx, audit.Record{Action: "early"})
	var e *audit.NotDurableError
	if !errors.As(err, &e) || e.Lost || e.Backlog != 1 || !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if h := l.Health(); h.OK || h.Backlog != 1 || h.Error != audit.ErrNotRunning.Error() {
		t.Errorf("%+v", h)
	}
	if _, err := l.Query(t.Context(), audit.Filter{}); !errors.Is(err, audit.ErrNotRunning) {
		t.Errorf("query: %v", err)
	}
	if _, err := l.Verify(t.Context()); !errors.Is(err, audit.ErrNotRunning) {
		t.Errorf("verify: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	if err := l.Append(t.Context(), audit.Record{Action: "late"}); err != nil {
		t.Fatal(err)
	}
	if got := actions(all(t, l)); !slices.Equal(got, []string{"early", "late"}) {
		t.Errorf("got %v: what waited comes first", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	err = l.Append(t.Context(), audit.Record{Action: "too late"})
	if !errors.As(err, &e) || !e.Lost || !errors.Is(err, audit.ErrNotRunning) || l.Health().Lost != 1 {
		t.Errorf("after Run: %v; lost %d", err, l.Health().Lost)
	}
	if _, err := l.Query(t.Context(), audit.Filter{}); !errors.Is(err, audit.ErrNotRunning) {
		t.Errorf("query after Run: %v", err)
	}
}

func TestRecordsAppendedBeforeTheEndAreWritten(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 500 {
		if err := l.Append(ctx, audit.Record{Action: "y"}); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if got := wantSound(t, l.path).Records; got != 501 {
		t.Errorf("%d records", got)
	}
}

func TestNewRefusesPermanentErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := filepath.Join(dir, "foreign.db")
	sqlExec(t, raw(t, foreign), "CREATE TABLE t (x)")
	marked := filepath.Join(dir, "marked.db")
	sqlExec(t, raw(t, marked), "PRAGMA application_id=7", "CREATE TABLE t (x)")
	for _, c := range []struct {
		path, want string
		is         error
	}{
		{"", "Path is required", nil},
		{filepath.Join(dir, "no", "audit.db"), "no such file or directory", os.ErrNotExist},
		{dir, "not a regular file", audit.ErrNotOurs},
		{write("text", strings.Repeat("no database ", 100)), "is not an SQLite database", nil},
		{foreign, "it has tables; move it away", audit.ErrNotOurs},
		{marked, "application id is 7", audit.ErrNotOurs},
	} {
		before, _ := os.ReadFile(c.path)
		_, err := audit.New(audit.Config{Path: c.path})
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) || c.path != "" && !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v; want %q", c.path, err, c.want)
		}
		if after, _ := os.ReadFile(c.path); !slices.Equal(before, after) {
			t.Errorf("%s was changed", c.path)
		}
	}
}
