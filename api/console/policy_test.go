package console_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// hurtful are texts that would be markup, or end an attribute or an address, where they were not taken as text.
var hurtful = []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus='alert(1)`, `x?file=y&line=2#z`, `javascript:alert(1)`, `a b%2f`}

// noMarkup fails if a page has a hurtful text that is not escaped.
func noMarkup(t *testing.T, page string) {
	t.Helper()
	for _, text := range []string{"<script>alert", "<img src=x", ` onfocus='alert`, `href="javascript`} {
		if strings.Contains(page, text) {
			t.Errorf("the page has %s\n%s", text, page)
		}
	}
}

func TestAFileIsShownAsText(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for _, text := range hurtful {
		files[text+".rego"] = "package a\n\n# </pre>" + text + "\n"
	}
	b := open(t, files).signedIn()
	for name, text := range files {
		status, page := b.get("/console/policy?" + url.Values{"file": {name}, "line": {"3"}}.Encode())
		noMarkup(t, page)
		if status != http.StatusOK || !strings.Contains(page, `data-line="3"`) || strings.Count(page, "</pre>") != 1 ||
			!strings.Contains(html.UnescapeString(page), "\n"+text) || !strings.Contains(page, "static/editor.js") {
			t.Errorf("%s: %d\n%s", name, status, page)
		}
	}
}

func TestAFrameLinksToItsFile(t *testing.T) {
	t.Parallel()
	for _, text := range hurtful {
		s := open(t, sound)
		b := s.signedIn()
		name := strings.ReplaceAll(text, "/", "") + ".rego"
		s.write(map[string]string{name: "package a\n\np := := 1\n"})
		_, page := b.post("/console/reload")
		noMarkup(t, page)
		want := `href="/console/policy?` + url.Values{"file": {name}, "of": {"disk"}, "line": {"3"}}.Encode() + `"`
		if !strings.Contains(html.UnescapeString(page), want) {
			t.Errorf("there is no %s on\n%s", want, page)
		}
		if strings.Contains(page, "static/editor.js") {
			t.Error("a page without an editor loads the script")
		}
		_, page = b.get("/console/policy?" + url.Values{"file": {name}, "of": {"disk"}, "line": {"3"}}.Encode())
		if !strings.Contains(page, "p := := 1") || !strings.Contains(page, `data-line="3"`) {
			t.Errorf("the file is not open\n%s", page)
		}
	}
}

func TestAFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	b := open(t, sound).signedIn()
	for query, want := range map[string]string{
		"file=none.rego": "serving has no file of this name", "file=../../etc/passwd": "serving has no file of this name",
		"file=a.rego&of=7": "no earlier policy is kept", "file=a.rego&of=/etc": "expected serving, disk",
	} {
		if status, page := b.get("/console/policy?" + query); status != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("%s: %d\n%s", query, status, page)
		}
	}
	for _, query := range []string{"file=a.rego&line=x", "file=a.rego&line=-1", "line=99999999999999999999"} {
		if status, _ := b.get("/console/policy?" + query); status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, status)
		}
	}
}

var outlined = map[string]string{
	"app.rego": "package app\n\nimport data.lib\n\nallow if lib.is(input.x)\n", "lib.rego": "package lib\n\nis(x) if x\n",
	"odd.rego": "package odd[\"<script>alert(1)</script>\"]\n\nx[\"<img src=x onerror=alert(1)>\"] := data.lib.is(1) # <script>alert(2)</script>\n",
}

func TestTheOutlineLeadsToRulesAndPackages(t *testing.T) {
	t.Parallel()
	b := open(t, outlined).signedIn()
	for query, want := range map[string][]string{
		"":                             {"3 packages", `href="/console/policy?file=app.rego&line=5">allow</a>`, "function, lib.rego:3"},
		"q=LIB":                        {"1 package has", `href="/console/policy?file=lib.rego&line=3&q=LIB"`, `value="LIB"`},
		"q=allow&file=lib.rego&line=3": {`<h1><code>lib.rego</code>`, `data-line="3"`, `href="/console/policy?package=data.app&q=allow">data.app</a>`, "Refers to</dt><dd>no other package"},
		"package=data.app":             {`<h1><code>app.rego</code>`, `<a href="/console/policy?package=data.lib">data.lib</a>`},
		"package=data.none":            {"no package of this name serves"},
		"q=is(&in=text":                {"3 lines have", `href="/console/policy?file=app.rego&in=text&line=5&q=is%28">app.rego:5</a>`, "allow if lib.is(input.x)"},
		"q=nothing":                    {"Nothing is found"},
		"q=nothing&in=text":            {"0 lines have"},
		"q=alert(1)":                   {`data.odd["<script>alert(1)</script>"]`, `>x["<img src=x onerror=alert(1)>"]</a>`},
		"q=alert(2)&in=text":           {"1 line has", "<script>alert(2)</script>"},
		"q=%22%3E%3Cscript%3Ealert":    {`value=""><script>alert"`},
		"after=data.lib":               {"those behind", "data.odd"},
	} {
		status, page := b.get("/console/policy?" + query)
		noMarkup(t, page)
		text := html.UnescapeString(page)
		for _, part := range want {
			if status != http.StatusOK || !strings.Contains(text, part) {
				t.Errorf("%s: %d, without %s\n%s", query, status, part, text)
			}
		}
	}
	if status, page := b.get("/console/policy?q=" + strings.Repeat("x", 300)); status != http.StatusBadRequest || !strings.Contains(page, "at most") {
		t.Errorf("a text that is too long: %d\n%s", status, page)
	}
}

func TestThePageSaysThatAnotherPolicyServes(t *testing.T) {
	t.Parallel()
	s := open(t, outlined)
	b := s.signedIn()
	_, page := b.get("/console/policy?file=app.rego&line=5")
	_, news, _ := strings.Cut(html.UnescapeString(page), `hx-get="`)
	news, _, _ = strings.Cut(news, `"`)
	part := func() string {
		t.Helper()
		status, part, _ := b.do(http.MethodGet, news, nil, func(r *http.Request) { r.Header.Set("Hx-Request", "true") })
		if status != http.StatusOK || strings.Contains(part, "<h1>") {
			t.Fatalf("%s: %d %s", news, status, part)
		}
		return part
	}
	if text := part(); strings.Contains(text, "Another policy") {
		t.Errorf("nothing has changed: %s", text)
	}
	s.write(sound)
	b.post("/console/reload")
	if text := part(); !strings.Contains(text, "Another policy serves now") || !strings.Contains(html.UnescapeString(text), `href="/console/policy?file=app.rego&line=5"`) {
		t.Errorf("after an edit: %s", text)
	}
}

// BenchmarkPolicyPage makes the page of a policy of 10,000 modules, over HTTP.
func BenchmarkPolicyPage(b *testing.B) {
	files := map[string]string{"lib.rego": "package lib\n\nis(x) if x == 1\n"}
	for i := range 10_000 {
		files[fmt.Sprintf("team%d/m%d.rego", i%100, i)] = fmt.Sprintf(
			"package team%d.m%d\n\nimport data.lib\n\ndefault allow := false\n\nallow if {\n\tlib.is(input.x)\n\tinput.y == %d\n}\n", i%100, i, i)
	}
	s := open(b, files)
	browser := s.browser()
	if status, _ := browser.signIn(token); status != http.StatusOK {
		b.Fatal(status)
	}
	for _, query := range []string{"", "file=lib.rego&line=3", "q=m77", "q=input.y&in=text", "q=nowhere&in=text"} {
		b.Run("?"+query, func(b *testing.B) {
			for b.Loop() {
				if status, page := browser.get("/console/policy?" + query); status != http.StatusOK || len(page) > 200_000 {
					b.Fatal(status, len(page))
				}
			}
		})
	}
}

// What decisions reach comes in a part of its own, and where it cannot be had, the page says so beside the file.
func TestThePageSaysWhyNoLinesAreMarked(t *testing.T) {
	t.Parallel()
	b := open(t, outlined).signedIn()
	_, page := b.get("/console/policy?file=app.rego&line=5&lines=reached")
	page = html.UnescapeString(page)
	const part = "/console/policy?file=app.rego&line=5&lines=reached&part=file"
	if !strings.Contains(page, `data-work="`+part+`"`) || !strings.Contains(page, "are made again") {
		t.Errorf("the part is not asked for\n%s", page)
	}
	status, text, _ := b.do(http.MethodGet, part, nil, func(r *http.Request) { r.Header.Set("Hx-Request", "true") })
	if status != http.StatusOK || !strings.Contains(text, "decisions are not recorded") || strings.Contains(text, "data-work") || !strings.Contains(text, "allow if lib.is") {
		t.Errorf("%d\n%s", status, text)
	}
	// A page with a script is told how far it is, and gets the part as an event.
	status, stream, h := b.do(http.MethodGet, part, nil, func(r *http.Request) { r.Header.Set("Accept", "text/event-stream") })
	progress, result, _ := strings.Cut(stream, "event: result\n")
	if result = strings.ReplaceAll(strings.TrimPrefix(result, "data: "), "\ndata: ", "\n"); status != http.StatusOK || h.Get("Content-Type") != "text/event-stream" ||
		!strings.HasPrefix(progress, "event: progress\n"+`data: {"text":"`) || strings.TrimSpace(result) != strings.TrimSpace(text) {
		t.Errorf("%d\n%s", status, stream)
	}
	if _, page := b.get("/console/policy?file=app.rego&of=disk&lines=reached"); strings.Contains(page, "recorded decision") {
		t.Errorf("lines of the disk are marked\n%s", page)
	}
}

func TestARuleThatChangedOpensItsFile(t *testing.T) {
	t.Parallel()
	s := open(t, outlined)
	b := s.signedIn()
	s.write(map[string]string{"app.rego": "package app\n\n# more\n\nallow if input.y == \"<script>alert(1)</script>\"\n"})
	_, page := b.get("/console/compare?from=serving&to=disk")
	noMarkup(t, page)
	page = html.UnescapeString(page)
	for _, part := range []string{
		`href="/console/policy?file=app.rego&line=5&of=disk"`, `href="/console/policy?file=lib.rego&line=3"`, `data-first="5"`, "static/editor.js",
		"\nallow if input.y ==",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("there is no %s on\n%s", part, page)
		}
	}
}
