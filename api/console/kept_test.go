package console_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// hidden are the hidden fields of a page.
func hidden(page string) url.Values {
	values := url.Values{}
	for _, found := range hiddenField.FindAllStringSubmatch(page, -1) {
		values.Set(html.UnescapeString(found[1]), html.UnescapeString(found[2]))
	}
	return values
}

// A form that a browser without scripts sends after its session has ended is there again after a sign-in, with what was typed, also
// where the first token was wrong. Nothing is done before it is sent once more.
func TestAFormOutlivesItsSession(t *testing.T) {
	t.Parallel()
	const input = "{\n  \"role\": \"admin\",\n  \"note\": \"</textarea><script>alert(1)</script>\"\n}"
	s := open(t, map[string]string{"b.rego": rolePolicy})
	b := s.signedIn()
	s.later(9 * time.Hour)
	status, page := b.post("/console/try", "path", "b/allow", "at", "disk", "input", input)
	if status != http.StatusUnauthorized || !strings.Contains(page, "What you typed is kept") || strings.Contains(page, "<script>alert") {
		t.Fatalf("%d\n%s", status, page)
	}
	for _, secret := range []string{"nonsense", s.code(token)} {
		fields := hidden(page)
		fields.Set("secret", secret)
		status, page, _ = b.do(http.MethodPost, "/console/enter", fields, nil)
	}
	for _, want := range []string{"nothing was sent", `value="b/allow"`, `<option value="disk" selected>`, html.EscapeString(`"role": "admin"`)} {
		if !strings.Contains(page, want) {
			t.Errorf("want %q in\n%s", want, page)
		}
	}
	if status != http.StatusOK || strings.Contains(page, `aria-label="Answers"`) || strings.Contains(page, "<script>alert") {
		t.Errorf("%d\n%s", status, page)
	}
	if _, page := b.post("/console/try", "path", "b/allow", "at", "disk", "input", input); !strings.Contains(page, `aria-label="Answers"`) || strings.Contains(page, "nothing was sent") {
		t.Errorf("sent again\n%s", page)
	}
}

// An order is asked for again, and is not given.
func TestAnOrderOutlivesItsSession(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.signedIn()
	old := b.form
	b.post("/console/sign-out")
	b.form = old
	_, page := b.post("/console/order", "order", "rollback", "to", "1", "reason", "it <was> better")
	fields := hidden(page)
	fields.Set("secret", token)
	_, page, _ = b.do(http.MethodPost, "/console/enter", fields, nil)
	for _, want := range []string{"nothing was sent", `value="it &lt;was&gt; better"`, `name="to" value="1"`, "Number 1 of the history serves from this moment on"} {
		if !strings.Contains(page, want) {
			t.Errorf("want %q in\n%s", want, page)
		}
	}
	// The same where somebody signed in meanwhile, in another window of the same browser.
	b.form = old
	if status, page := b.post("/console/order", "order", "hold", "reason", "typed before"); status != http.StatusForbidden ||
		!strings.Contains(page, "nothing was sent") || !strings.Contains(page, `value="typed before"`) {
		t.Errorf("%d\n%s", status, page)
	}
}

// What another site sends is neither kept nor shown, and neither is what no form of the console has.
func TestNothingOfAnotherSiteIsKept(t *testing.T) {
	t.Parallel()
	b := open(t, sound).browser()
	foreign := func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }
	for path, change := range map[string]func(*http.Request){"/console/try": foreign, "/console/order": foreign, "/console/enter": foreign, "/console/reload": nil} {
		form := url.Values{"path": {"planted"}, "order": {"rollback"}, "reason": {"planted"}, "kept": {"order"}, "kept.reason": {"planted"}, "secret": {"x"}}
		if _, page, _ := b.do(http.MethodPost, path, form, change); strings.Contains(page, "planted") {
			t.Errorf("%s\n%s", path, page)
		}
	}
	form := url.Values{"kept": {"reload"}, "kept.reason": {"planted"}, "secret": {token}}
	if status, page, _ := b.do(http.MethodPost, "/console/enter", form, nil); status != http.StatusOK || strings.Contains(page, "planted") || !strings.Contains(page, "All is well") {
		t.Errorf("%d\n%s", status, page)
	}
}
