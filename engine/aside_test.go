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

// A package clause that is mistyped takes the package from its callers, and no error says so.
func TestWhatDecisionsUsedAndAnEditTookAwayIsNamed(t *testing.T) {
	var mu sync.Mutex
	files := map[string]string{
		"billing.rego": "package acme.billing\nallow := true\nother := 1\n", "main.rego": "package main\nok if data.acme.tax.rate > 1\n",
		"tax.rego": "package acme.tax\nrate := 2\n", "unused.rego": "package acme.unused\nx := 1\n", "data.json": `{"limits": {"a": 1}}`,
	}
	source := func() (fs.FS, error) {
		mu.Lock()
		defer mu.Unlock()
		m := fstest.MapFS{}
		for name, text := range files {
			m[name] = &fstest.MapFile{Data: []byte(text)}
		}
		return m, nil
	}
	e := enginetest.New(t, engine.Config{Source: source, RemovalWait: -1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	reload := func(edit ...string) *engine.Loss {
		t.Helper()
		mu.Lock()
		for i := 0; i < len(edit); i += 2 {
			files[edit[i]] = edit[i+1]
		}
		mu.Unlock()
		report, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI})
		if err != nil {
			t.Fatal(err)
		}
		return report.Loss
	}
	reload()
	for _, path := range []string{"acme/billing/allow", "main/ok", "none/at/all"} {
		p, _ := engine.ParsePath(path)
		if _, _, err := e.Current().Decide(t.Context(), p, nil); err != nil {
			t.Fatal(err)
		}
	}
	lost := func() string {
		var all []string
		for _, d := range e.Status().Lost {
			all = append(all, d.Path)
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct {
		name       string
		edit       []string
		loss, lost string
	}{
		{"a package is mistyped", []string{"billing.rego", "package acme.biling\nallow := true\n"}, "data.acme.billing", "data.acme.billing"},
		{"another edit", []string{"unused.rego", "package acme.unusd\nx := 1\n"}, "", "data.acme.billing"},
		{"one that others refer to", []string{"tax.rego", "package acme.taxes\nrate := 2\n"}, "data.acme.tax", "data.acme.billing data.acme.tax"},
		{"repaired", []string{"billing.rego", "package acme.billing\nallow := true\nother := 1\n", "tax.rego", "package acme.tax\nrate := 2\n"}, "", ""},
		{"a rule that is asked for", []string{"billing.rego", "package acme.billing\nalow := true\nother := 1\n"}, "data.acme.billing.allow", "data.acme.billing.allow"},
		{"a rule that is not", []string{"billing.rego", "package acme.billing\nallow := true\n"}, "", ""},
		{"all rules", []string{"billing.rego", "package acme.billing\n"}, "data.acme.billing", "data.acme.billing"},
		{"data instead", []string{"data.json", `{"acme": {"billing": {"allow": true}}}`}, "", ""},
	} {
		loss, got := reload(c.edit...), ""
		if loss != nil {
			for _, d := range loss.Documents {
				got += d.Path
			}
		}
		if got != c.loss || lost() != c.lost {
			t.Errorf("%s: %q is lost, and %q in all; want %q and %q", c.name, got, lost(), c.loss, c.lost)
		}
	}
}
