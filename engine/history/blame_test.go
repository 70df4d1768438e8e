package history_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// blamed is what blame says, in short.
func blamed(t *testing.T, s *history.Store, path string) string {
	t.Helper()
	b, err := s.Blame(path)
	if err != nil {
		if !errors.Is(err, history.ErrNotFound) {
			t.Errorf("%s: %v", path, err)
		}
		return "none"
	}
	text := b.Kind + " " + b.Place
	for _, c := range b.Changes {
		text += fmt.Sprintf(", %s by %d", c.Kind, c.Record.Seq)
	}
	return text
}

// edits are policies, each of which follows the one before.
var edits = []files{
	{"a.rego": "package a\n\nallow if input.x == 1\n\nother := 1\n", "b.rego": "package a.b\n\nx := 1\n", "data.json": `{"users": {"ann": {"roles": {"deep": 1}}, "bob": {}}, "limit": 3}`},
	{"a.rego": "package a\n\nallow if input.x == 2\n\nother := 1\n", "b.rego": "package a.b\n\nx := 1\n", "data.json": `{"users": {"ann": {"roles": {"deep": 1}}, "bob": {}}, "limit": 3}`},
	{"a.rego": "package a\n\n# moved, with a comment\nother := 1\n\nallow if {\n\tinput.x == 2\n}\n", "b.rego": "package a.b\n\nx := 1\n\ny := 2\n", "data.json": `{"users": {"ann": {"roles": {"deep": 2}}, "bob": {}}, "limit": 3}`},
	{"a.rego": "package a\n\nother := 1\n", "b.rego": "package a.b\n\nx := 1\n\ny := 2\n", "data.json": `{"users": {"ann": {"roles": {"deep": 2}}}, "limit": 4}`},
}

var blames = map[string]string{
	"data.a.allow":                "rule data.a.allow, removed by 4, changed by 2",
	"data.a.other":                "rule data.a.other, there by 1",
	"data.a.b.y":                  "rule data.a.b.y, added by 3",
	"data.a.b.x":                  "rule data.a.b.x, there by 1",
	"data.a.b":                    "package data.a.b, changed by 3, there by 1",
	"data.a":                      "package data.a, changed by 4, changed by 2",
	"data.a.other.deep":           "rule data.a.other, there by 1",
	"data.limit":                  "data data.limit, changed by 4, there by 1",
	"data.users":                  "data data.users, changed by 4, changed by 3",
	"data.users.ann":              "data data.users.ann, changed by 3, there by 1",
	"data.users.ann.roles.deep.x": "data data.users.ann.roles, changed by 3, there by 1",
	"data.users.bob":              "data data.users.bob, removed by 4, there by 1",
	"data.users.bobby":            "data data.users, changed by 4, changed by 3",
	"data.nothing":                "none",
	"data.ab":                     "none",
	"input":                       "none",
	"":                            "none",
}

func TestBlameNamesWhatChangedARuleOrData(t *testing.T) {
	s := newStore(t, history.Config{})
	k := newKeeper(t, history.KeeperConfig{Store: s})
	stop := inBackground(t, k.Run)
	src := edit(edits[0])
	e := runEngine(t, engine.Config{Source: src.open, Announcements: []engine.Announcement{{Name: "history", Run: k.Announce}}})
	for _, tree := range edits {
		src.set(tree)
		reload(t, e, engine.TriggerAPI)
	}
	stop()
	again := newStore(t, history.Config{}) // the same, where each was the first of its process
	for _, tree := range edits {
		if _, err := newStore(t, history.Config{Dir: again.Dir()}).Save(t.Context(), load(t, tree.fs())); err != nil {
			t.Fatal(err)
		}
	}
	for name, store := range map[string]*history.Store{
		"memory": s, "file": newStore(t, history.Config{Dir: s.Dir()}), "restarts": newStore(t, history.Config{Dir: again.Dir()}),
	} {
		for path, want := range blames {
			if got := blamed(t, store, path); got != want {
				t.Errorf("%s: %q: %s; want %s", name, path, got, want)
			}
		}
	}
	for _, entry := range entries(t, s) {
		if err := os.Remove(entry.Path); err != nil {
			t.Fatal(err)
		}
	}
	if got := blamed(t, newStore(t, history.Config{Dir: s.Dir()}), "data.a.allow"); got != blames["data.a.allow"] {
		t.Errorf("%s; want it told by the index alone", got)
	}
}

func TestBlameOutlivesWhatTheIndexForgets(t *testing.T) {
	s := newStore(t, history.Config{Keep: 1})
	s.SetMaxRecords(8)
	for n := range 30 {
		tree := files{"p.rego": fmt.Sprintf("package p\n\nx := %d\n\nold := 1\n", n)}
		if n >= 2 {
			tree["q.rego"] = "package q\n\nx := 1\n"
		}
		if _, err := s.Save(t.Context(), load(t, tree.fs())); err != nil {
			t.Fatal(err)
		}
	}
	oldest := records(t, s)
	begins := oldest[len(oldest)-1].Seq
	for path, want := range map[string]string{
		"data.p.x":   "rule data.p.x, changed by 30, changed by 29",
		"data.p.old": fmt.Sprintf("rule data.p.old, there by %d", begins),
		"data.q.x":   fmt.Sprintf("rule data.q.x, there by %d", begins),
	} {
		if got := blamed(t, newStore(t, history.Config{Dir: s.Dir()}), path); got != want {
			t.Errorf("%s: %s; want %s", path, got, want)
		}
	}
}

func TestBlameOfADamagedIndexBeginsAnew(t *testing.T) {
	s := newStore(t, history.Config{})
	for n := range 3 {
		serve(t, s, n, time.Time{})
	}
	index := filepath.Join(s.Dir(), "index.jsonl")
	text, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(index, []byte(strings.Replace(string(text), `"since"`, `"Since"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := blamed(t, newStore(t, history.Config{Dir: s.Dir()}), "data.p.x"); got != "none" {
		t.Errorf("%s; want nothing told out of an index that lacks a line", got)
	}
	next := newStore(t, history.Config{Dir: s.Dir()})
	serve(t, next, 7, time.Time{})
	serve(t, next, 8, time.Time{})
	if got, want := blamed(t, next, "data.p.x"), "rule data.p.x, changed by 5, there by 4"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}
