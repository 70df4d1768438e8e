package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api"
)

var outlined = map[string]string{
	"app.rego": "package app\n\nimport data.lib\n\ndefault allow := false\n\nallow if lib.is(input.x)\n\nDenied contains 1\n", "lib.rego": "package lib\n\nis(x) if x\n",
	"teams/a.rego": "package teams.a\n\nx := data.app.allow\n", "teams/b.rego": "package other.teams\n\nx := data.teams[input.t].x\n", "data.json": `{"lib_list": 1}`,
}

func packagesOf(t *testing.T, s *sidecar, query string) api.PackagesAnswer {
	t.Helper()
	status, answer, _ := s.request("GET", "/policy/packages?"+query, "")
	var a api.PackagesAnswer
	if err := json.Unmarshal([]byte(answer), &a); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s", query, status, answer)
	}
	return a
}

// pathsAndRules are the packages of an answer with the names of their rules.
func pathsAndRules(a api.PackagesAnswer) string {
	var all []string
	for _, p := range a.Packages {
		names := []string{}
		for _, r := range p.Rules {
			names = append(names, r.Name)
		}
		all = append(all, fmt.Sprint(p.Path, names))
	}
	return strings.Join(all, " ")
}

func TestPackagesAreFoundByTheirNamesFilesAndRules(t *testing.T) {
	s := start(t, outlined, nil)
	for query, want := range map[string]string{
		"": "data.app[allow Denied] data.lib[is] data.other.teams[x] data.teams.a[x]", "q=TEAMS": "data.other.teams[x] data.teams.a[x]", "q=denied": "data.app[Denied]",
		"q=lib.rego": "data.lib[is]", "q=nothing": "", "package=data.lib": "data.lib[is]", "package=lib": "", "file=teams/b.rego": "data.other.teams[x]",
		"file=teams": "", "q=" + url.QueryEscape(`<b>"`): "", "after=data.lib": "data.other.teams[x] data.teams.a[x]", "after=data.m": "data.other.teams[x] data.teams.a[x]", "after=zz": "",
	} {
		if got := pathsAndRules(packagesOf(t, s, query)); got != want {
			t.Errorf("%s: %s; want %s", query, got, want)
		}
	}
	app := packagesOf(t, s, "package=data.app").Packages[0]
	want := api.PolicyPackage{
		Path: "data.app", Files: []string{"app.rego"}, RefersTo: []string{"data.lib"}, ReferredBy: []string{"data.teams.a"},
		Rules: []api.PolicyRule{{"allow", "app.rego", 5, "value", 1, true}, {"Denied", "app.rego", 9, "set", 1, false}},
	}
	if !reflect.DeepEqual(app, want) {
		t.Errorf("%+v; want %+v", app, want)
	}
	for query, want := range map[string]string{"": "[data.json]", "q=DATA.js": "[data.json]", "q=lib": "[]", "after=data.lib": "[]", "package=data.lib": "[]"} {
		if got := fmt.Sprint(packagesOf(t, s, query).Data); got != want {
			t.Errorf("%s: data files %s; want %s", query, got, want)
		}
	}
	if b := packagesOf(t, s, "package=data.other.teams").Packages[0]; !slices.Equal(b.RefersTo, []string{"data.teams.a"}) {
		t.Errorf("a reference that varies: %v", b.RefersTo)
	}
}

func TestAllPagesTogetherAreAllPackages(t *testing.T) {
	files := map[string]string{"lib.rego": "package lib\nx := 1"}
	for i := range 230 {
		files[fmt.Sprintf("p%d.rego", i)] = fmt.Sprintf("package p%d\ny := data.lib.x", i)
	}
	s := start(t, files, nil)
	client := &api.Client{Addr: s.addr, Token: token, AnyListener: true}
	seen := map[string]bool{}
	for q := (api.PackagesQuery{Limit: 100}); ; {
		a, err := client.Packages(t.Context(), q)
		if err != nil || len(a.Packages) > 100 || a.Matching != 231 {
			t.Fatalf("%d of %d packages, %v", len(a.Packages), a.Matching, err)
		}
		for _, p := range a.Packages {
			if seen[p.Path] {
				t.Errorf("%s is there twice", p.Path)
			}
			seen[p.Path] = true
			if p.Path == "data.lib" && (len(p.ReferredBy) != 100 || p.MoreReferredBy != 130) {
				t.Errorf("%d packages refer to the library, and %d more", len(p.ReferredBy), p.MoreReferredBy)
			}
		}
		if q.After = a.Next; q.After == "" {
			break
		}
	}
	if len(seen) != 231 {
		t.Errorf("the pages have %d packages", len(seen))
	}
	if lib := packagesOf(t, s, "package=data.lib").Packages[0]; len(lib.ReferredBy) != 230 || lib.MoreReferredBy != 0 {
		t.Errorf("%d packages refer to the library that is asked for, and %d more", len(lib.ReferredBy), lib.MoreReferredBy)
	}
}

// What is answered is of what serves, also after a reload.
func TestPackagesAreThoseThatServe(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, nil)
	before := packagesOf(t, s, "")
	s.files = policy(map[string]string{"p.rego": "package q\ny := 1"})
	s.expect("POST", "/policy/reload", "", http.StatusOK, "", clientHeader)
	after := packagesOf(t, s, "")
	if pathsAndRules(before) != "data.p[x]" || pathsAndRules(after) != "data.q[y]" || after.Generation != before.Generation+1 || before.Revision == after.Revision {
		t.Errorf("%+v, then %+v", before, after)
	}
}

func TestLinesAreFoundByTheirText(t *testing.T) {
	long := "# " + strings.Repeat("ä", 400) + "NEEDLE" + strings.Repeat("ö", 400)
	s := start(t, map[string]string{
		"a.rego": "package a\n\nx := 1 # needle, Needle\r\n# a needle\ny := \"needle\"", "b.rego": "package b\n" + long + "\n", "c.rego": "package c # <script>",
		"data.json": `{"needle": 1}`,
	}, nil)
	client := &api.Client{Addr: s.addr, Token: token, AnyListener: true}
	found, err := client.Search(t.Context(), "nEEdle", 0)
	if err != nil || len(found.Matches) != 4 || found.More {
		t.Fatalf("%+v, %v", found, err)
	}
	for i, want := range []api.PolicyLine{{"a.rego", 3, 10, "x := 1 # needle, Needle"}, {"a.rego", 4, 5, "# a needle"}, {"a.rego", 5, 7, `y := "needle"`}} {
		if found.Matches[i] != want {
			t.Errorf("%+v; want %+v", found.Matches[i], want)
		}
	}
	in := found.Matches[3]
	if in.File != "b.rego" || in.Line != 2 || in.Column != 803 || !strings.Contains(in.Text, "NEEDLE") || len(in.Text) > 310 || strings.Contains(in.Text, "\uFFFD") ||
		!strings.HasPrefix(in.Text, "…ä") || !strings.HasSuffix(in.Text, "ö…") {
		t.Errorf("in a long line: %+v", in)
	}
	if found, err = client.Search(t.Context(), "needle", 2); err != nil || len(found.Matches) != 2 || !found.More {
		t.Errorf("two of them: %+v, %v", found, err)
	}
	if found, err = client.Search(t.Context(), "needle", 4); err != nil || len(found.Matches) != 4 || found.More {
		t.Errorf("four of them: %+v, %v", found, err)
	}
	if found, err = client.Search(t.Context(), "<SCRIPT>", 0); err != nil || len(found.Matches) != 1 || found.Matches[0].Text != "package c # <script>" {
		t.Errorf("markup: %+v, %v", found, err)
	}
}
