package engine_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"
)

// What is loaded aside is checked as a reload is, and neither the status nor the next reload hears of it.
func TestWhatIsLoadedAsideHasNoEffect(t *testing.T) {
	var mu sync.Mutex
	text, checks := "package p\nx := 1\n", 0
	set := func(s string) { mu.Lock(); defer mu.Unlock(); text = s }
	source := func() (fs.FS, error) {
		mu.Lock()
		defer mu.Unlock()
		return fstest.MapFS{"p.rego": {Data: []byte(text)}}, nil
	}
	var told []engine.Result
	e := enginetest.New(t, engine.Config{
		Source: source,
		Checks: []engine.Check{{Name: "no three", Run: func(_ context.Context, candidate, _ *engine.Generation) error {
			checks++
			if strings.Contains(string(candidate.Files()[0].Bytes), "3") {
				return errors.New("it has a three")
			}
			return nil
		}}},
		Announcements: []engine.Announcement{{Name: "tell", Run: func(_ context.Context, r engine.Report) error { told = append(told, r.Result); return nil }}},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	trigger := engine.Trigger{Kind: engine.TriggerAPI}
	if _, err := e.Reload(t.Context(), trigger); err != nil {
		t.Fatal(err)
	}
	serving, status, checked := e.Current(), e.Status(), checks
	if same, base, err := e.DryRun(t.Context(), trigger); err != nil || same != serving || base != serving {
		t.Errorf("%v, %v, %v; want what serves", same, base, err)
	}
	set("package p\nx := 2\n")
	candidate, _, err := e.DryRun(t.Context(), trigger)
	if err != nil || candidate.Number() != 2 || checks != checked+1 {
		t.Errorf("%v, %v, %d checks", candidate, err, checks-checked)
	}
	for text, want := range map[string]string{"package p\nx := 3\n": "it has a three", "package p\nx := := 3\n": "rego_parse_error"} {
		set(text)
		refused := new(engine.Refused)
		if _, _, err := e.DryRun(t.Context(), trigger); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
	set("package p\nx := 3\n")
	if g, err := e.LoadAside(t.Context(), nil); err != nil || g.Revision() == serving.Revision() {
		t.Errorf("%v, %v; checks are no part of it", g, err)
	}
	if e.Current() != serving || e.Status() != status || len(told) != 1 {
		t.Errorf("generation %d, announcements %v", e.Current().Number(), told)
	}
	set("package p\nx := 2\n")
	if report, err := e.Reload(t.Context(), trigger); err != nil || report.Generation.Number() != 2 {
		t.Errorf("%+v, %v", report.Result, err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err := e.LoadAside(gone, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want that the caller has gone", err)
	}
}
