package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/decisionlog"
	"defenseclaw/api/recorder"
	"defenseclaw/engine"
)

// recording opens a console whose sidecar records decisions.
func recording(t testing.TB, files map[string]string, change ...func(*api.Config)) (*site, *recorder.Recorder) {
	t.Helper()
	clean := decisionlog.NewCleaner(decisionlog.Config{}, engine.Path{"system", "record", "drop"})
	r, err := recorder.New(recorder.Config{Clean: clean.Clean, Masks: clean.Asks, Share: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return open(t, files, append(change, func(c *api.Config) { c.Recorder = r })...), r
}

// decide has decisions made over HTTP, and waits until they are recorded.
func (s *site) decide(r *recorder.Recorder, asked ...[2]string) {
	s.t.Helper()
	before := r.Health().Records
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, q := range asked {
		request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/v1/data/"+q[0], strings.NewReader(`{"input":`+q[1]+`}`))
		if err != nil {
			s.t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(request)
		if err != nil {
			s.t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			s.t.Fatalf("%s: %s", q, answer.Status)
		}
	}
	for deadline := time.Now().Add(time.Minute); r.Health().Records < before+len(asked); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d are recorded", r.Health().Records)
		}
	}
}

var decisionAddress = regexp.MustCompile(`href="(/console/decisions/[^"?]+)"`)

// opened is the address of the first decision of a list.
func opened(t testing.TB, list string) string {
	t.Helper()
	found := decisionAddress.FindStringSubmatch(list)
	if found == nil {
		t.Fatalf("no decision in\n%s", list)
	}
	return found[1]
}

// marks reports whether a page has a level with a shape and a word.
func marks(page, level, word string) bool {
	return regexp.MustCompile(`<span class="level ` + level + `"><svg aria-hidden="true"[^>]*><(circle|path) [^>]*/></svg> ` + regexp.QuoteMeta(word) + `</span>`).MatchString(page)
}

func TestDecisionsAreListedFilteredAndOpened(t *testing.T) {
	t.Parallel()
	s, r := recording(t, map[string]string{"b.rego": rolePolicy})
	s.decide(r, [2]string{"b/allow", `{"role":"admin","size":3}`}, [2]string{"b/allow", `{"role":"Clerk","size":3}`})
	b := s.signedIn()
	_, page := b.get("/console/decisions")
	if strings.Count(page, "<td><code>b/allow</code></td>") != 2 || !marks(page, "well", "allow") || !marks(page, "look", "deny") {
		t.Errorf("all of them\n%s", page)
	}
	_, page = b.get("/console/decisions?path=b&outcome=deny&text=clerk&revision=serving")
	if strings.Count(page, "<td><code>b/allow</code></td>") != 1 || !strings.Contains(page, `<option value="deny" selected>`) || !strings.Contains(page, `value="clerk"`) {
		t.Errorf("one of them\n%s", page)
	}
	one := opened(t, page)
	_, page = b.get(one)
	for _, want := range []string{
		`&#34;role&#34;: &#34;Clerk&#34;`, "failed</span>", "input.role == &#34;admin&#34;", `<td><code>input.role == `, "default</span>",
		`href="/console/policy?file=b.rego&amp;line=6"`, "/console/try?record=", "?test=yes#test",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("want %s in\n%s", want, page)
		}
	}
	if strings.Contains(page, "With what is on record the answer is another") || strings.Contains(page, `id="flips"`) || strings.Contains(page, `id="test-text"`) {
		t.Errorf("too much in\n%s", page)
	}
	if _, page := b.get(one + "?test=yes"); !strings.Contains(page, "got == false") || !strings.Contains(page, "recorded_test.rego") {
		t.Errorf("the test\n%s", page)
	}
	if _, page := b.get("/console/decisions?path=none"); !strings.Contains(page, "No recorded decision is like this") {
		t.Errorf("none\n%s", page)
	}
	for query, problem := range map[string]string{"outcome=maybe": "outcome is", "before=x": "before: ", "revision=x": "revision is"} {
		if status, page := b.get("/console/decisions?" + query); status != http.StatusOK || !strings.Contains(page, problem) {
			t.Errorf("%s: %d\n%s", query, status, page)
		}
	}
	if status, _ := b.get("/console/decisions/none"); status != http.StatusNotFound {
		t.Errorf("none: %d", status)
	}
}

func TestPagesOfDecisionsGoOnWithTheFilter(t *testing.T) {
	t.Parallel()
	s, r := recording(t, map[string]string{"b.rego": "package b\n\nx := input.x\n"})
	var asked [][2]string
	for n := range 120 {
		asked = append(asked, [2]string{"b/x", fmt.Sprintf(`{"x":"<%d>"}`, n)})
	}
	s.decide(r, asked...)
	b := s.signedIn()
	address, seen := "/console/decisions?path=b%2Fx", map[string]bool{}
	older := regexp.MustCompile(`<a href="([^"]+)">Older</a>`)
	pages := 0
	for ; address != ""; pages++ {
		_, page := b.get(address)
		for _, row := range regexp.MustCompile(`&lt;\d+&gt;`).FindAllString(page, -1) {
			seen[row] = true
		}
		address = ""
		if next := older.FindStringSubmatch(page); next != nil {
			if address = strings.ReplaceAll(next[1], "&amp;", "&"); !strings.Contains(address, "path=b%2Fx") {
				t.Fatal(address)
			}
		}
	}
	if pages != 3 || len(seen) != 120 {
		t.Errorf("%d pages have %d", pages, len(seen))
	}
}

// The policy has changed since: the page says by which it explains.
func TestADecisionOfAPolicyThatIsNotKept(t *testing.T) {
	t.Parallel()
	s, r := recording(t, map[string]string{"b.rego": rolePolicy})
	s.decide(r, [2]string{"b/allow", `{"role":"admin","size":30}`})
	b := s.signedIn()
	s.write(map[string]string{"b.rego": strings.Replace(rolePolicy, "10", "50", 1)})
	b.get("/console/")
	b.post("/console/reload")
	_, list := b.get("/console/decisions")
	_, page := b.get(opened(t, list) + "?test=yes")
	for _, want := range []string{"The policy that decided is not kept", "By what serves now", "fired</span>", "the answer is another one", "this is by what serves"} {
		if !strings.Contains(page, want) {
			t.Errorf("want %s in\n%s", want, page)
		}
	}
}

func TestDecisionsShowHostileTextAsText(t *testing.T) {
	t.Parallel()
	const script = `<script>alert(1)</script>`
	s, r := recording(t, map[string]string{"h.rego": "package h\n\nx := input\n\ny[name] := input.a if some name in [input.a]\n"})
	s.decide(r,
		[2]string{"h/x", `{"a":"` + script + `</pre></textarea>"}`}, [2]string{"h/x", `{"` + script + `":1}`}, [2]string{"h/y/" + url.PathEscape(script), `{"a":"` + script + `"}`},
	)
	b := s.signedIn()
	_, list := b.get("/console/decisions")
	pages := []string{list}
	for _, address := range decisionAddress.FindAllStringSubmatch(list, -1) {
		pages = append(pages, second(b.get(address[1]+"?test=yes")))
	}
	if len(pages) != 4 {
		t.Fatalf("%d pages\n%s", len(pages), list)
	}
	for _, name := range []string{"path", "outcome", "revision", "text", "before"} {
		pages = append(pages, second(b.get("/console/decisions?"+url.Values{name: {script}}.Encode())))
	}
	for _, page := range append(pages, second(b.get("/console/decisions/"+url.PathEscape(script)))) {
		if strings.Contains(page, "<script>alert") || strings.Contains(page, "</textarea>\"") {
			t.Errorf("a script in\n%s", page)
		}
	}
	if !strings.Contains(list, "&lt;script&gt;alert(1)") || !strings.Contains(list, "h/y/%3Cscript%3E") {
		t.Errorf("the list\n%s", list)
	}
}

func TestDecisionsNeedTheScopesOfTheirRoutes(t *testing.T) {
	t.Parallel()
	s, r := recording(t, map[string]string{"b.rego": rolePolicy})
	s.decide(r, [2]string{"b/allow", `{"role":"admin","size":3}`})
	if status, _ := s.browser().get("/console/decisions"); status != http.StatusUnauthorized {
		t.Errorf("nobody is signed in: %d", status)
	}
	b := s.browser()
	b.signIn(other) // read and change: nothing may be tried
	_, list := b.get("/console/decisions")
	if _, page := b.get(opened(t, list)); !strings.Contains(page, "lacks the scope") || !strings.Contains(page, "admin") {
		t.Errorf("%s", page)
	}
	if _, page := open(t, sound).signedIn().get("/console/decisions"); !strings.Contains(page, "decisions are not recorded") {
		t.Errorf("%s", page)
	}
}
