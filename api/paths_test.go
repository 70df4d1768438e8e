package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// oddParts are parts of a path that no policy of the tests names.
var oddParts = []string{
	`"`, `a"b`, `""`, `[`, `]`, `[0]`, `["x"]`, ` `, `  `, `\`, `\"`, `\n`, "\n", "\r\n", "\t", "\x00", "a\x00b", "\x7f", "\xff", "\xc3\x28", "\xed\xa0\x80", "ü", "\u2028", "\ufeff", "🙂", "٣", "0", "-0", "007",
	"99999999999999999999", "1e3", "-1", "1.5", "`", "'", "{", "}", "{}", "{path}", "$", "${x}", "#", "?", "&", "%", "%22", "%2F", "/", "//", "a/", "/a", "+", "*", "_", "__local0__", "data", "input", "if", "true", "null", ":=", ";", ",", "|",
	strings.Repeat("a", 5000), strings.Repeat("ü", 2000), strings.Repeat(`\`, 999), strings.Repeat("a/", 1500) + "a",
}

// TestNoPathIsAFaultOfTheServer asks both servers at every odd path: ours answers as OPA's does, and where that says 500, the
// caller's path is at fault, and named.
func TestNoPathIsAFaultOfTheServer(t *testing.T) {
	o := newOracle(t)
	seen := map[int]int{}
	for _, part := range oddParts {
		for _, parents := range []string{"", "odd/", "no_such/", "kinds/partial_set/", "authz/nested/", "list/0/"} {
			for _, end := range []string{"", "/", "/deeper", "//deeper"} {
				path := parents + url.PathEscape(part) + end
				for _, q := range []question{
					{"GET", "/v1/data/" + path, "", nil}, {"POST", "/v1/data/" + path, `{"input":{}}`, nil}, {"POST", "/v0/data/" + path, `{}`, nil}, {"POST", "/v1/data/" + path + "?metrics", "", nil},
				} {
					status, _, answer := ask(t, o.ours, q)
					seen[status]++
					if status >= 500 || status == 400 && !strings.Contains(answer, "invalid path: ") {
						t.Fatalf("%s %.200s: %d %.500s", q.method, q.target, status, answer)
					}
					if opa, ours := o.compare(t, q); opa != ours {
						t.Errorf("%s %.200s\nOPA:  %.500s\nours: %.500s", q.method, q.target, opa, ours)
					}
				}
				status, _, answer := ask(t, o.ours, question{"POST", "/v1/batch/data/" + path, `{"inputs":{"a":{},"b":{}}}`, nil})
				if status >= 500 {
					t.Errorf("a batch at %.200s: %d %.500s", path, status, answer)
				}
			}
		}
	}
	for _, status := range []int{200, 400, 404} {
		if seen[status] == 0 {
			t.Errorf("the statuses are %v; want each of 200, 400, 404", seen)
		}
	}
}

func TestAnInvalidPathIsNamed(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nset contains x if some x in [\"a\"]"}, nil)
	for _, c := range []struct{ path, want string }{
		{"p/a%22b", `invalid path: invalid ref term 'a\"b'"`},
		{"p/set/%5B/y", `"invalid path: 1 error occurred: 1:1: rego_type_error: undefined ref: data.p.set[\"[\"].y`},
		{"p/%00", `"invalid path: the path is no Rego reference: [\"p\" \"\\x00\"]"`},
	} {
		s.expect("GET", "/v1/data/"+c.path, "", 400, c.want)
		s.expect("POST", "/v1/data/"+c.path, `{"input":1}`, 400, c.want)
		s.expect("POST", "/v0/data/"+c.path, `1`, 400, c.want)
		s.expect("POST", "/v1/batch/data/"+c.path, `{"inputs":{"a":1}}`, 400, c.want)
	}
}

func TestAWarningSaysThatNothingIsAtAPath(t *testing.T) {
	s := start(t, map[string]string{
		"app.rego":   "package app.roles\nallow if input.admin\nperson[id].name := n if some id, n in input.people",
		"other.rego": "package dashed[\"foo-bar\"]\nv := 7",
		"data.json":  `{"users": {"ada": 1}}`,
	}, nil)
	warned := func(message string) string { return `"warning":{"code":"path_not_found","message":"` + message + `"}` }
	for path, want := range map[string]string{
		"app/roles/allow":        "", // another input defines it
		"app/roles/person/x":     "",
		"app/roles/person/x/y":   "", // a value may have it
		"app/roles/alow":         warned("neither a rule nor data is at data.app.roles.alow; did you mean data.app.roles.allow?"),
		"app/role/allow":         warned("neither a rule nor data is at data.app.role.allow; did you mean data.app.roles.allow?"),
		"app/role/nothing":       warned("neither a rule nor data is at data.app.role.nothing; did you mean data.app.roles?"),
		"data/app/roles/allow":   warned("neither a rule nor data is at data.data.app.roles.allow; did you mean data.app.roles.allow?"),
		"app.roles.allow":        warned(`neither a rule nor data is at data[\"app.roles.allow\"]; did you mean data.app.roles.allow?`),
		"data.app.roles.allow":   warned(`neither a rule nor data is at data[\"data.app.roles.allow\"]; did you mean data.app.roles.allow?`),
		"app%2Froles%2Falow":     warned(`neither a rule nor data is at data[\"app/roles/alow\"]; did you mean data.app.roles.allow?`),
		"app.roles.alow":         warned(`neither a rule nor data is at data[\"app.roles.alow\"]; did you mean data.app.roles.allow?`),
		"dashed/foo_bar/v":       warned(`neither a rule nor data is at data.dashed.foo_bar.v; did you mean data.dashed[\"foo-bar\"].v?`),
		"users/adda":             warned("neither a rule nor data is at data.users.adda"), // a key is not told
		"quite/another/one":      warned("neither a rule nor data is at data.quite.another.one"),
		strings.Repeat("n", 999): warned("neither a rule nor data is at data." + strings.Repeat("n", 295) + "…"),
	} {
		for _, q := range []question{
			{"GET", "/v1/data/" + path, "", nil}, {"POST", "/v1/data/" + path, `{"input":{}}`, nil}, {"POST", "/v1/data/" + path, `{}`, nil}, {"POST", "/v1/data/" + path + "?metrics", "{}", nil},
			{"POST", "/v1/batch/data/" + path, `{"inputs":{"a":{}}}`, nil}, {"POST", "/v1/batch/data/" + path + "?metrics", `{"inputs":{"a":{}}}`, nil},
		} {
			status, answer, _ := s.request(q.method, q.target, q.body)
			if status != 200 || strings.Contains(answer, `"result"`) || strings.Contains(answer, "path_not_found") != (want != "") || !strings.Contains(answer, want) {
				t.Errorf("%s %.100s: %d %s; want …%s…", q.method, q.target, status, answer, want)
			}
		}
	}
}

func TestACallerWhomThePolicyJudgesIsToldOfNoOtherRule(t *testing.T) {
	s := start(t, map[string]string{"app.rego": "package app\nallow := true", "authz.rego": "package system.authz\nallow := true"}, nil)
	s.expect("POST", "/v1/data/app/alow", `{"input":{}}`, 200, `"message":"neither a rule nor data is at data.app.alow"}`)
}

// TestAnEncodedSlashSeparatesWhereNoNameHasOne: clients that are generated from openapi.yaml encode every slash of a path.
func TestAnEncodedSlashSeparatesWhereNoNameHasOne(t *testing.T) {
	s := start(t, map[string]string{
		"app.rego":     "package app.roles\nallow := true\nwhole contains x if some x in input",
		"odd.json":     "{}",
		"filters.rego": "package filters\ninclude if input.rows.x == 1",
		"data.json":    `{"odd": {"a/b": 1, "a": {"b": 2}, "c": {"d": 3}}}`,
		"authz.rego":   "package system.authz\ndefault allow := true\nallow := false if input.path == [\"v1\", \"data\", \"secret\", \"x\"]",
		"secret.rego":  "package secret\nx := 1",
	}, nil)
	for _, c := range []struct {
		q      question
		status int
		want   string
	}{
		{question{"POST", "/v1/data/app%2Froles%2Fallow", `{"input":{}}`, nil}, 200, `"result":true`},
		{question{"POST", "/v1/data/app%2froles/allow", `{"input":{}}`, nil}, 200, `"result":true`},
		{question{"GET", "/v1/data/app%2Froles%2Fallow", "", nil}, 200, `"result":true`},
		{question{"POST", "/v0/data/app%2Froles%2Fallow", `{}`, nil}, 200, `true`},
		{question{"POST", "/v1/batch/data/app%2Froles%2Fallow", `{"inputs":{"a":{}}}`, nil}, 200, `"result":true`},
		{question{"POST", "/v1/compile/filters%2Finclude", `{"unknowns":["input.rows"]}`, []string{"Accept: application/vnd.opa.sql.sqlite+json"}}, 200, "WHERE rows.x"},
		{question{"GET", "/v1/policies/a%2Fapp.rego", "", nil}, 404, ""},
		{question{"GET", "/v1/data/odd/a%2Fb", "", nil}, 200, `"result":1`}, // as OPA has it
		{question{"GET", "/v1/data/odd%2Fa%2Fb", "", nil}, 200, `"result":2`},
		{question{"GET", "/v1/data/odd%2Fc%2Fd", "", nil}, 200, `"result":3`},
		{question{"GET", "/v1/data/app%2Froles%2Falow", "", nil}, 200, `neither a rule nor data is at data[\"app/roles/alow\"]`},
		{question{"GET", "/v1/data/app%2F..%2Fapp", "", nil}, 200, `"path_not_found"`},
		{question{"GET", "/v1/data/secret/x", "", nil}, 401, ""},
		{question{"GET", "/v1/data/secret%2Fx", "", nil}, 401, ""}, // what is decided is what is judged
	} {
		s.expect(c.q.method, c.q.target, c.q.body, c.status, c.want, c.q.headers...)
	}
}

// FuzzNoPathIsAFaultOfTheServer asks at random paths.
func FuzzNoPathIsAFaultOfTheServer(f *testing.F) {
	for i, part := range oddParts {
		f.Add(i%2 == 0, "odd/"+part, "authz")
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, encoded bool, path, parent string) {
		if encoded {
			path = strings.ReplaceAll(url.PathEscape(path), "%2F", "/")
		} else {
			path = url.PathEscape(path)
		}
		q := question{"POST", "/v1/data/" + url.PathEscape(parent) + "/" + path, `{"input":{"user":"alice"}}`, nil}
		if status, _, answer := ask(t, o.ours, q); status >= http.StatusInternalServerError && !strings.Contains(answer, "evaluation") && !strings.Contains(answer, "internal_error") {
			t.Errorf("%s: %d %s", q.target, status, answer)
		}
		if encoded && !hasEncodedSlash(q.target) { // else it may separate
			if opa, ours := o.compare(t, q); opa != ours {
				t.Errorf("%q\nOPA:  %.2000s\nours: %.2000s", q.target, opa, ours)
			}
		}
	})
}
