package engine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
)

// guarded is a policy with a domain, a library and data, as the packages of DefenseClaw are.
var guarded = tree{
	"guardrail.rego": "package defenseclaw.guardrail\n\nimport data.lib.ranks\n\naction := \"block\" if ranks.of[input.severity] >= data.guardrail.block\n",
	"firewall.rego":  "package defenseclaw.firewall\n\naction := \"deny\"\n",
	"ranks.rego":     "package lib.ranks\n\nof := data.ranks\n",
	"other.rego":     "package other\n\nx := data.notes.x\n",
	"more.rego":      "package other\n\ny := 1\n",
	"data.json":      `{"guardrail": {"block": 4}, "ranks": {"HIGH": 4}}`,
	"notes/data.yml": "x: 1\n",
}

var kept = engine.Keep{
	Packages: []engine.Path{{"defenseclaw", "guardrail"}, {"defenseclaw", "firewall"}, {"defenseclaw", "audit"}},
	DataOf:   []engine.Path{{"defenseclaw"}},
}

// without is a copy of the tree that lacks files.
func (files tree) without(names ...string) tree {
	left := tree{}
	for name, text := range files {
		if !slices.Contains(names, name) {
			left[name] = text
		}
	}
	return left
}

func (files tree) with(name, text string) tree {
	more := files.without()
	more[name] = text
	return more
}

// serving is an engine that serves the files.
func serving(t *testing.T, files tree, cfg engine.Config) (*engine.Engine, *editable) {
	src := &editable{files: files.fs()}
	cfg.Source = src.open
	e := run(t, cfg)
	if report := reload(t, e, engine.TriggerStartup); report.Result != engine.Success {
		t.Fatal(report.Refused)
	}
	return e, src
}

func TestAFileThatVanishesIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		gone  string
		after time.Duration // it comes back; 0: never
		kind  engine.TriggerKind
		takes time.Duration
		want  engine.Result
	}{
		{"notes/data.yml", 30 * time.Millisecond, engine.TriggerWatch, 30 * time.Millisecond, engine.Unchanged},
		{"notes/data.yml", 1900 * time.Millisecond, engine.TriggerWatch, 1900 * time.Millisecond, engine.Unchanged},
		{"notes/data.yml", 0, engine.TriggerWatch, 2 * time.Second, engine.Success},
		{"notes/data.yml", 0, engine.TriggerPoll, 2 * time.Second, engine.Success},
		{"notes/data.yml", 0, engine.TriggerAPI, 2 * time.Second, engine.Success},
		{"notes/data.yml", 0, engine.TriggerSignal, 2 * time.Second, engine.Success},
		{"more.rego", 400 * time.Millisecond, engine.TriggerWatch, 400 * time.Millisecond, engine.Unchanged},
		{"more.rego", 0, engine.TriggerWatch, 500 * time.Millisecond, engine.Success},
		{"ranks.rego", 400 * time.Millisecond, engine.TriggerWatch, 400 * time.Millisecond, engine.Unchanged},
		{"data.json", 1900 * time.Millisecond, engine.TriggerAPI, 1900 * time.Millisecond, engine.Unchanged},
	} {
		t.Run(tt.gone+" "+string(tt.kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, src := serving(t, guarded, engine.Config{Keep: kept})
				first := e.Current()
				src.set(guarded.without(tt.gone))
				start := time.Now()
				if tt.after > 0 {
					time.AfterFunc(tt.after, func() { src.set(guarded) })
				}
				report := reload(t, e, tt.kind, tt.gone)
				took := time.Since(start)
				if report.Result != tt.want || took < tt.takes || took > tt.takes+150*time.Millisecond {
					t.Errorf("%s (%v) after %s, want %s after %s", report.Result, report.Refused, took, tt.want, tt.takes)
				}
				if tt.want == engine.Unchanged && (e.Current() != first || e.Status().State != engine.StateCurrent) {
					t.Errorf("generation %d serves, state %s", e.Current().Number(), e.Status().State)
				}
			})
		})
	}
}

func TestOtherEditsWaitForNothing(t *testing.T) {
	for name, files := range map[string]tree{
		"an edit":          guarded.with("other.rego", "package other\n\nx := 2\n"),
		"a new file":       guarded.with("new.rego", "package new\n\nx := 2\n"),
		"a renamed module": guarded.without("more.rego").with("a/moved.rego", guarded["more.rego"]),
		"the whole policy in the rego folder": func() tree {
			moved := tree{}
			for name, text := range guarded {
				moved["rego/"+name] = text
			}
			return moved
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, src := serving(t, guarded, engine.Config{Keep: kept})
				src.set(files)
				start := time.Now()
				report := reload(t, e, engine.TriggerWatch)
				if took := time.Since(start); took > 0 || report.Refused != nil || report.Loss != nil {
					t.Errorf("%s (%v) after %s, loss %+v", report.Result, report.Refused, took, report.Loss)
				}
			})
		})
	}
}

// A file that has been missing for long is not waited for again with the next edit.
func TestAFileIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, src := serving(t, guarded, engine.Config{Keep: kept})
		src.set(guarded.without("data.json"))
		if report := reload(t, e, engine.TriggerWatch); report.Result != engine.Failed {
			t.Fatal(report.Result)
		}
		src.set(guarded.without("data.json").with("other.rego", "package other\n\nx := 2\n"))
		start := time.Now()
		report := reload(t, e, engine.TriggerWatch)
		if took := time.Since(start); took > 0 || report.Result != engine.Failed {
			t.Errorf("%s after %s", report.Result, took)
		}
		src.set(guarded.with("other.rego", "package other\n\nx := 3\n"))
		if report := reload(t, e, engine.TriggerWatch); report.Result != engine.Success || time.Since(start) > 0 {
			t.Errorf("%s (%v)", report.Result, report.Refused)
		}
		src.set(guarded.without("data.json"))
		reload(t, e, engine.TriggerWatch)
		if took := time.Since(start); took < 2*time.Second {
			t.Errorf("it came back and vanished again, and was waited for for %s", took)
		}
	})
}

// A directory that loses files without end is no reason to wait without end, nor to take one of them for gone early.
func TestADirectoryThatKeepsLosingFilesIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, src := serving(t, guarded, engine.Config{Keep: kept})
		stop := time.Now().Add(20 * time.Second)
		names := []string{"data.json", "notes/data.yml"}
		go func() {
			for i := 0; time.Now().Before(stop); i++ {
				src.set(guarded.without(names[i%2]))
				go e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerWatch}) //nolint:errcheck // as the watch does
				time.Sleep(1500 * time.Millisecond)
			}
			src.set(guarded)
			go e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerWatch}) //nolint:errcheck // as the watch does
		}()
		synctest.Wait()
		report := reload(t, e, engine.TriggerWatch)
		if report.Result != engine.Failed || e.Current().Number() != 1 || e.Status().State != engine.StateStale {
			t.Errorf("%s: generation %d serves as %s", report.Result, e.Current().Number(), e.Status().State)
		}
		time.Sleep(30 * time.Second)
		if e.Status().State != engine.StateCurrent || e.Current().Number() != 1 {
			t.Errorf("in the end generation %d serves as %s", e.Current().Number(), e.Status().State)
		}
	})
}

func TestARemovalThatFailsOpenIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files tree
		want  string // part of the diagnostics; empty: it serves
	}{
		{"data that a kept package reads", guarded.without("data.json"),
			"data.json: data_removed: the file is gone, and its data is read by data.defenseclaw.guardrail"},
		{"data that it reads through a library", guarded.without("data.json").with("data.yml", "guardrail: {block: 4}\n"),
			"data.json: data_removed: the file is gone, and its data is read by data.defenseclaw.guardrail"},
		{"the same data in another file", guarded.without("data.json").with("data.yaml", guarded["data.json"]), ""},
		{"data that others read", guarded.without("notes/data.yml"), ""},
		{"a kept package", guarded.without("firewall.rego"),
			"firewall.rego: package_removed: the package data.defenseclaw.firewall, which callers ask for, has no rules any more"},
		{"a kept package whose file is another's now", guarded.with("firewall.rego", "package firewall\n\naction := \"deny\"\n"),
			"firewall.rego: package_removed: "},
		{"a kept package without rules", guarded.with("firewall.rego", "package defenseclaw.firewall\n"), "package_removed"},
		{"all but what lies in a new rego folder", guarded.with("rego/new.rego", "package new\n\nx := 1\n"), "package_removed"},
		{"other rules", guarded.without("other.rego", "more.rego"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, src := serving(t, guarded, engine.Config{Keep: kept})
				src.set(tt.files)
				report := reload(t, e, engine.TriggerWatch)
				if tt.want == "" {
					if report.Result != engine.Success {
						t.Error(report.Refused)
					}
					return
				}
				if report.Result != engine.Failed || report.Refused.Stage != engine.StageCheck || e.Current().Number() != 1 {
					t.Fatalf("%s, generation %d serves", report.Result, e.Current().Number())
				}
				all := text(report.Refused.Diagnostics)
				if !strings.Contains(all, tt.want) || !strings.Contains(report.Refused.Diagnostics[0].Hint, "--accept-removals") {
					t.Errorf("got\n%s\nwant %q", all, tt.want)
				}
				if again := reload(t, e, engine.TriggerAPI); again.Result != engine.Failed {
					t.Errorf("asked for without accepting it: %s", again.Result)
				}
				start := time.Now()
				accepted, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI, AcceptRemovals: true})
				if err != nil || accepted.Result != engine.Success || e.Status().State != engine.StateCurrent {
					t.Errorf("accepted: %s, %v", accepted.Result, err)
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("accepted after %s", took)
				}
				if next := reload(t, e, engine.TriggerWatch); next.Result != engine.Unchanged {
					t.Errorf("after that: %s (%v)", next.Result, next.Refused)
				}
			})
		})
	}
}

func text(ds diagnostic.List) string {
	var b strings.Builder
	for _, d := range ds {
		b.WriteString(d.String() + "\n")
	}
	return b.String()
}

func TestALossSaysWhatNoLongerAnswersAndWhetherItWasUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := guarded.with("unused.rego", "package unused\n\nx := 1\n").with("unused/data.json", `{"deep": {"a": 1}}`)
		e, src := serving(t, files, engine.Config{})
		if _, _, err := e.Current().Decide(t.Context(), engine.Path{"other", "x"}, nil); err != nil {
			t.Fatal(err)
		}
		src.set(files.with("more.rego", "package other\n\ny := 2\n")) // what an earlier generation was asked counts
		if report := reload(t, e, engine.TriggerWatch); report.Loss != nil {
			t.Errorf("an edit is no loss: %+v", report.Loss)
		}
		src.set(files.without("more.rego", "unused.rego", "unused/data.json", "notes/data.yml"))
		report := reload(t, e, engine.TriggerWatch)
		if report.Loss == nil {
			t.Fatal("no loss")
		}
		if got := strings.Join(report.Loss.Files, " "); got != "more.rego notes/data.yml unused.rego unused/data.json" {
			t.Errorf("files %s", got)
		}
		want := []engine.LostDocument{
			{Path: "data.other.y"}, {Path: "data.notes", Used: true}, {Path: "data.unused"},
		}
		if !slices.Equal(report.Loss.Documents, want) {
			t.Errorf("documents %+v, want %+v", report.Loss.Documents, want)
		}
	})
}

// Without a wait, as an author's loop has it, what is gone is gone.
func TestANegativeWaitIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, src := serving(t, guarded, engine.Config{RemovalWait: -1})
		src.set(guarded.without("notes/data.yml", "more.rego"))
		start := time.Now()
		if report := reload(t, e, engine.TriggerWatch); report.Result != engine.Success || time.Since(start) > 0 {
			t.Errorf("%s after %s", report.Result, time.Since(start))
		}
	})
}

func TestARefusedRemovalIsNotHalfWritten(t *testing.T) {
	var refused *engine.Refused
	synctest.Test(t, func(t *testing.T) {
		e, src := serving(t, guarded, engine.Config{Keep: kept})
		src.set(guarded.without("data.json"))
		start := time.Now()
		_, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerWatch})
		if !errors.As(err, &refused) || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}
