package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const rolePolicy = `package b

default allow := false

allow if {
	input.role == "admin"
	input.size < 10
}
`

func TestTryShowsTheResultAndWhy(t *testing.T) {
	t.Parallel()
	s := open(t, map[string]string{"b.rego": rolePolicy})
	b := s.signedIn()
	if status, page := b.get("/console/try"); status != http.StatusOK || !strings.Contains(page, `<option value="b/allow">`) || !strings.Contains(page, `href="/console/try?path=b%2Fallow"`) {
		t.Errorf("%d\n%s", status, page)
	}
	_, page := b.post("/console/try", "path", "b/allow", "at", "serving", "input", `{"role":"admin","size":30}`)
	for _, want := range []string{
		"false</pre>", "failed</span>", "input.size &lt; 10", `= <code>30</code>`, `href="/console/policy?file=b.rego&amp;line=7">b.rego:7</a>`,
		"default</span>", `data-covered="3,6-7" data-excluded="" data-skipped="" data-missed="5" data-line="7"`, `<span class="row" data-n="7"></span> &#43; `, `<span class="row" data-n="5"></span> - `,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("want %s in\n%s", want, page)
		}
	}
	// The address has all of it.
	if _, page := b.get("/console/try?" + url.Values{"path": {"data.b.allow"}, "input": {`{"role":"admin","size":3}`}}.Encode()); !strings.Contains(page, "true</pre>") || !strings.Contains(page, "fired</span>") {
		t.Errorf("by its address\n%s", page)
	}
	// Files on disk, beside what serves.
	s.write(map[string]string{"b.rego": strings.Replace(rolePolicy, "10", "50", 1)})
	_, page = b.post("/console/try", "path", "b/allow", "at", "serving", "beside", "disk", "input", `{"role":"admin","size":30}`)
	if !strings.Contains(page, "The two policies answer differently") || !strings.Contains(page, "true</pre>") || !strings.Contains(page, "false</pre>") {
		t.Errorf("beside\n%s", page)
	}
	if _, page := b.post("/console/try", "path", "b/allow", "at", "serving", "beside", "disk", "input", `{}`); !strings.Contains(page, "Both policies give the same answer") {
		t.Errorf("beside\n%s", page)
	}
}

func TestTrySaysWhatIsWrongWithAForm(t *testing.T) {
	t.Parallel()
	s := open(t, map[string]string{"b.rego": rolePolicy})
	b := s.signedIn()
	s.write(map[string]string{"b.rego": "package b\n\nallow := lowerr(1)\n"})
	for want, fields := range map[string][]string{
		"the input is not JSON":            {"path", "b/allow", "input", "{"},
		"neither a rule nor data exists":   {"path", "b/none"},
		"expected serving, candidate":      {"path", "b/allow", "at", "../etc"},
		"no candidate is held":             {"path", "b/allow", "at", "candidate"},
		"b.rego:3":                         {"path", "b/allow", "at", "disk"},
		"one such as 2026-01-02T15:04:05Z": {"path", "b/allow", "time", "noon"},
		"the recorded decision":            nil,
	} {
		var status int
		var page string
		if fields == nil {
			status, page = b.get("/console/try?record=none")
		} else {
			status, page = b.post("/console/try", fields...)
		}
		if status != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("%v: %d, want %q in\n%s", fields, status, want, page)
		}
	}
}

func TestTryShowsHostileTextAsText(t *testing.T) {
	t.Parallel()
	const script = `<script>alert(1)</script>`
	s := open(t, map[string]string{
		script + ".rego": "package h\n\n# " + script + "\nx[\"" + script + "\"] := input.a if input.a == \"" + script + "\"\n\n</pre if true\n",
	})
	b := s.browser()
	b.signIn(token)
	s.write(map[string]string{script + ".rego": "package h\n\n# " + script + "\nx[\"" + script + "\"] := input.a if input.a == \"" + script + "\"\n"})
	b.post("/console/reload")
	for _, page := range []string{
		second(b.post("/console/try", "path", "h", "input", `{"a":"`+script+`"}`)),
		second(b.post("/console/try", "path", "h/x", "input", `{"a":"`+script+`</pre>"}`)),
		second(b.post("/console/try", "path", script, "input", script, "at", script, "beside", script, "time", script)),
		second(b.get("/console/try?" + url.Values{"record": {script}, "path": {script}}.Encode())),
		second(b.get("/console/try?" + url.Values{"path": {"h"}, "time": {script}, "input": {"{}"}}.Encode())),
	} {
		if !strings.Contains(page, "&lt;script&gt;alert(1)") || strings.Contains(page, "<script>alert") {
			t.Errorf("a script in\n%s", page)
		}
	}
}

func second(_ int, page string) string { return page }

func TestTryNeedsTheScopesOfItsRoute(t *testing.T) {
	t.Parallel()
	s := open(t, map[string]string{"b.rego": rolePolicy})
	b := s.browser()
	b.signIn(other) // read and change alone
	if status, page := b.post("/console/try", "path", "b/allow", "input", "{}"); status != http.StatusOK || !strings.Contains(page, "lacks the scope") {
		t.Errorf("%d\n%s", status, page)
	}
	if status, _ := s.browser().get("/console/try?path=b/allow"); status != http.StatusUnauthorized {
		t.Errorf("nobody is signed in: %d", status)
	}
}

func TestTrySearchesThousandsOfDocumentsOnTheServer(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 2000 {
		files[fmt.Sprintf("m%d.rego", i)] = fmt.Sprintf("package many.m%d\n\nallow if input.x == %d\n", i, i)
	}
	b := open(t, files).signedIn()
	_, page := b.get("/console/try")
	if n := strings.Count(page, "<option value=\"many/"); n != 50 || !strings.Contains(page, "3950 more") {
		t.Errorf("%d documents are offered", n)
	}
	_, part, _ := b.do(http.MethodGet, "/console/try?part=documents&path=m1999/al&at=serving", nil, func(r *http.Request) { r.Header.Set("Hx-Request", "true") })
	if strings.Count(part, "<option") != 1 || !strings.Contains(part, `value="many/m1999/allow"`) {
		t.Errorf("the part\n%s", part)
	}
}
