package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/api/gate"
	"defenseclaw/engine"
)

func answersToFiles(t *testing.T, o *openAPI) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, nil)
	s.files = policy(map[string]string{"p.rego": "package p\nx := := 1", "p_test.rego": "package p_test\n"})
	for _, target := range []string{"/policy/files/p.rego", "/policy/files/p.rego?of=disk", "/policy/files/p_test.rego?of=disk"} {
		o.ask(s, question{"GET", target, "", nil}, http.StatusOK)
	}
	o.ask(s, question{"GET", "/policy/files/p.rego?of=..", "", nil}, http.StatusBadRequest)
	s = start(t, map[string]string{"p.rego": "package p\nx := 1"}, covering(t, nil))
	o.ask(s, question{"GET", "/policy/coverage?missed=true", "", nil}, http.StatusOK)
	o.ask(s, question{"GET", "/policy/coverage?file=q.rego", "", nil}, http.StatusNotFound)
	for _, target := range []string{"/policy/coverage?limit=0", "/policy/packages?limit=501", "/policy/search?q=x&limit=0"} {
		o.ask(s, question{"GET", target, "", nil}, http.StatusBadRequest, true)
	}
	o.ask(s, question{"GET", "/policy/files/q.rego", "", nil}, http.StatusNotFound)
	o.ask(s, question{"GET", "/policy/files/p.rego?of=held", "", nil}, http.StatusNotFound)
	s = start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config, _ *engine.Config) { keptOf(c, nil) })
	o.ask(s, question{"GET", "/policy/files/p.rego?of=dead", "", nil}, http.StatusUnprocessableEntity)
}

// What a file is called is nothing but its name, and what is no policy is not there.
func TestFilesAreThoseOfThePolicy(t *testing.T) {
	names := []string{"<script>alert(1)</script>.rego", "a b/ü%2f.rego", "x?y#z.rego", `quo"te'.rego`, "data.json"}
	files := map[string]string{"secret.txt": "no", ".hidden/p.rego": "package hidden", "p.json": "{}"}
	for i, name := range names {
		files[name] = "package p" + strings.Repeat("x", i) + "\n"
	}
	files["data.json"] = `{"<b>": 1}`
	s := start(t, files, nil)
	client := &api.Client{Addr: s.addr, Token: token, AnyListener: true}
	for _, of := range []string{"serving", "disk"} {
		for _, name := range names {
			f, err := client.File(t.Context(), name, of)
			if err != nil || f.Path != name || f.Text != files[name] || f.Of != of {
				t.Errorf("%s of %s: %+v, %v", name, of, f, err)
			}
		}
		for _, name := range []string{"secret.txt", ".hidden/p.rego", "p.json", "none.rego", "", "../p.rego", "/etc/passwd", "a b", "x\x00.rego"} {
			if status, answer, _ := s.request("GET", "/policy/files/"+url.PathEscape(name)+"?of="+of, ""); status != http.StatusNotFound {
				t.Errorf("%q of %s: %d %s", name, of, status, answer)
			}
		}
	}
}

func TestABrokenFileIsShownAsItIsOnDisk(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1", "big.rego": "package big\n#" + strings.Repeat("x", 1<<20), "odd.rego": "package odd\n"}, nil)
	s.files = policy(map[string]string{"p.rego": "package p\nx := := 1", "odd.rego": "package \xff"})
	for target, want := range map[string]api.FileAnswer{
		"p.rego": {Kind: "module", Text: "package p\nx := 1"}, "p.rego?of=disk": {Kind: "module", Text: "package p\nx := := 1"},
		"big.rego": {Kind: "module", Left: "it has more than a megabyte"}, "odd.rego?of=disk": {Kind: "module", Left: "it is not UTF-8"},
	} {
		status, answer, _ := s.request("GET", "/policy/files/"+target, "")
		var f api.FileAnswer
		if err := json.Unmarshal([]byte(answer), &f); err != nil || status != http.StatusOK || f.Kind != want.Kind || f.Text != want.Text || f.Left != want.Left {
			t.Errorf("%s: %d %.300s, %v", target, status, answer, err)
		}
	}
}

func TestTheTextOfADataFileNeedsTheScopeOfQueries(t *testing.T) {
	s, tokens := withTokens(t, map[string]string{"p.rego": "package p\nx := 1", "data.json": `{"secret": "s3cret"}`}, nil)
	tokens.set("eye", gate.Token{Name: "eye-1", Scopes: gate.ScopeRead | gate.ScopeChange})
	for _, tt := range []struct {
		who, file string
		status    int
	}{
		{"eye", "p.rego", http.StatusOK}, {"eye", "data.json", http.StatusForbidden}, {"eye", "data.json?of=disk", http.StatusForbidden},
		{"ops", "data.json", http.StatusOK}, {"app", "p.rego", http.StatusForbidden},
	} {
		status, answer, _ := s.request("GET", "/policy/files/"+tt.file, "", "Authorization: Bearer "+tt.who)
		if status != tt.status || strings.Contains(answer, "s3cret") != (tt.status == http.StatusOK && tt.file != "p.rego") {
			t.Errorf("%s, %s: %d %s", tt.who, tt.file, status, answer)
		}
	}
}

func TestFilesOfEarlierPolicies(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config, _ *engine.Config) { keptOf(c, map[string]string{"p.rego": "package p\nx := 0"}) })
	s.expect("GET", "/policy/files/p.rego?of=abcd", "", http.StatusOK, `"text":"package p\nx := 0"`)
	s.expect("GET", "/policy/files/p.rego?of=ffff", "", http.StatusNotFound, `"error":"ffff: `)
	s.expect("GET", "/policy/files/p.rego?of=dead", "", http.StatusUnprocessableEntity, `"error":"dead: damaged`)
}
