package console_test

import (
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
