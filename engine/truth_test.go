package engine

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/corpus"
	"defenseclaw/engine/internal/dialect"
)

// sound are policies without errors, by name.
func sound(t *testing.T) map[string]map[string]string {
	t.Helper()
	pack := map[string]string{}
	files, err := filepath.Glob("../policies/rego/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no default pack: %v", err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && !strings.HasSuffix(file, "_test.rego") {
			pack[filepath.Base(file)] = string(text)
		}
	}
	return map[string]map[string]string{"pack": pack, "tenants": corpus.Tenants(6)}
}

func loadText(t *testing.T, files map[string]string, previous *Generation) (*Generation, *Refused) {
	t.Helper()
	src := fstest.MapFS{}
	for name, text := range files {
		src[name] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := Load(t.Context(), src, previous)
	refused := new(Refused)
	if err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if err == nil {
		return g, nil
	}
	return nil, refused
}

// eachLine calls f with every line of every module of a sound policy, and the generation that it loads.
func eachLine(t *testing.T, f func(t *testing.T, files map[string]string, name string, lines []string, at int, g *Generation)) {
	for what, files := range sound(t) {
		t.Run(what, func(t *testing.T) {
			g, refused := loadText(t, files, nil)
			if refused != nil {
				t.Fatal(refused)
			}
			for _, name := range slices.Sorted(maps.Keys(files)) {
				if filepath.Ext(name) != ".rego" {
					continue
				}
				lines := strings.Split(files[name], "\n")
				for at := range lines {
					f(t, files, name, lines, at, g)
				}
			}
		})
	}
}

func with(files map[string]string, name string, lines []string, at int, line string) map[string]string {
	edited := maps.Clone(files)
	changed := slices.Clone(lines)
	changed[at] = line
	edited[name] = strings.Join(changed, "\n")
	return edited
}

func TestALineThatDoesNotParseIsAnErrorOfItsFileAlone(t *testing.T) {
	eachLine(t, func(t *testing.T, files map[string]string, name string, lines []string, at int, g *Generation) {
		_, refused := loadText(t, with(files, name, lines, at, lines[at]+" ] = ="), g)
		if refused == nil {
			return // a comment
		}
		for _, d := range refused.Diagnostics {
			if d.File != name || d.Code != "rego_parse_error" {
				t.Errorf("%s:%d: %v", name, at+1, d)
			}
		}
	})
}

var call = regexp.MustCompile(`\b(count|startswith|lower|object\.get|contains|endswith|sprintf|array\.concat|max|upper|trim_suffix|concat)\(`)

func TestAMisspeltBuiltinIsAnErrorOfItsRuleAlone(t *testing.T) {
	tried := 0
	eachLine(t, func(t *testing.T, files map[string]string, name string, lines []string, at int, g *Generation) {
		place := call.FindStringIndex(lines[at])
		if place == nil || strings.HasPrefix(strings.TrimSpace(lines[at]), "#") {
			return
		}
		tried++
		edited := with(files, name, lines, at, lines[at][:place[0]]+"mis"+lines[at][place[0]:])
		module, err := dialect.Parse(name, []byte(edited[name]))
		if err != nil {
			t.Fatal(err)
		}
		begins, ends := 0, len(lines)+1
		for _, rule := range module.Rules {
			if row := rule.Location.Row; row <= at+1 {
				begins = max(begins, row)
			} else {
				ends = min(ends, row)
			}
		}
		_, refused := loadText(t, edited, g)
		if refused == nil {
			t.Fatalf("%s:%d: %s is accepted", name, at+1, lines[at])
		}
		for _, d := range refused.Diagnostics {
			if d.File != name || d.Line < begins || d.Line >= ends {
				t.Errorf("%s:%d misspelt: %v", name, at+1, d)
			}
		}
	})
	if tried < 20 {
		t.Errorf("only %d calls were misspelt", tried)
	}
}

func TestTransposedLettersGetAHint(t *testing.T) {
	for wrong, want := range map[string]string{"coutn": "count", "strartswith": "startswith", "startswiht": "startswith", "lowre": "lower"} {
		_, refused := loadText(t, map[string]string{"p.rego": fmt.Sprintf("package p\nx := %s(input.y, 1)\n", wrong)}, nil)
		if refused == nil || len(refused.Diagnostics) == 0 || !strings.HasSuffix(refused.Diagnostics[0].Hint, "did you mean "+want+"?") {
			t.Errorf("%s: %v; want a hint to %s", wrong, refused, want)
		}
	}
}
