package corpus_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/corpus"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t *testing.T, files map[string]string) *engine.Generation {
	t.Helper()
	src := fstest.MapFS{}
	for path, text := range files {
		src[path] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := engine.Load(t.Context(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func decide(t *testing.T, g *engine.Generation, path, input string) string {
	t.Helper()
	value := ast.MustParseTerm(input).Value
	result, defined, err := g.Decide(t.Context(), engine.Path(strings.Split(path, "/")), value)
	if err != nil || !defined {
		t.Fatalf("%s of %s: defined is %t, error is %v", path, input, defined, err)
	}
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheSameArgumentsGiveTheSameBytes(t *testing.T) {
	tenants, users := corpus.Tenants(20), corpus.Users(50_000, 3)
	for range 3 {
		if !maps.Equal(tenants, corpus.Tenants(20)) || users != corpus.Users(50_000, 3) {
			t.Error("two corpora of the same numbers differ")
		}
	}
}

func TestEveryTenantAndLibraryIsThere(t *testing.T) {
	for _, n := range []int{0, 1, 150} {
		if got, want := len(corpus.Tenants(n)), n+corpus.Libraries+1; got != want {
			t.Errorf("a corpus of %d tenants has %d files, not %d", n, got, want)
		}
	}
}

func TestAVersionShowsInTheAnswers(t *testing.T) {
	files := corpus.Tenants(10)
	files[corpus.TenantPath(5)] = corpus.Tenant(5, 41)
	files[corpus.LibraryPath(2)] = corpus.Library(2, 42)
	files[corpus.LibraryPath(3)] = corpus.LibraryWithAnotherSignature(3, 43)
	files["data.json"] = corpus.Users(10_000, 44)
	g := load(t, files)
	for path, want := range map[string]string{
		"tenants/t5/version":                    "41",
		"tenants/t2/built_on":                   "[42,0]",
		"tenants/t3/built_on":                   `["v43",0]`,
		"users/" + corpus.EditedUser + "/level": "44",
	} {
		if got := decide(t, g, path, "{}"); got != want {
			t.Errorf("%s is %s, not %s", path, got, want)
		}
	}
}

func TestVersionsOfTheUsersDifferInOneKey(t *testing.T) {
	var old, edited map[string]map[string]any
	for i, into := range []*map[string]map[string]any{&old, &edited} {
		text := strings.Replace(corpus.Users(100_000, 7+i), `"regions": ["eu", "us"], `, "", 1)
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	different := 0
	for key, user := range old["users"] {
		if fmt.Sprint(user) != fmt.Sprint(edited["users"][key]) {
			different++
		}
	}
	if different != 1 || len(old["users"]) != len(edited["users"]) {
		t.Errorf("%d users differ, not 1", different)
	}
}

func TestDataHasAboutTheSizeAskedFor(t *testing.T) {
	for _, size := range []int{100_000, 1_000_000} {
		if got := len(corpus.Users(size, 0)); got < size || got > size+1000 {
			t.Errorf("users of %d bytes take %d", size, got)
		}
		files, _ := corpus.Grants(size)
		if got := len(files["data.json"]); got < size*8/10 || got > size*12/10 {
			t.Errorf("grants of %d bytes take %d", size, got)
		}
	}
}

func TestEveryKindAnswersItsInputsOfEverySize(t *testing.T) {
	kinds, err := corpus.Kinds(os.DirFS("../../policies/rego"))
	if err != nil || len(kinds) != 8 {
		t.Fatalf("%d kinds, %v", len(kinds), err)
	}
	for _, k := range kinds {
		g, answers := load(t, k.Files), map[string]bool{}
		bytes := 0
		for _, input := range k.Inputs {
			if !json.Valid([]byte(input.JSON)) || len(input.JSON) <= bytes || len(input.JSON) > 100_000 {
				t.Errorf("%s: the %s input has %d bytes", k.Name, input.Size, len(input.JSON))
			}
			bytes = len(input.JSON)
			answers[decide(t, g, k.Path, input.JSON)] = true
		}
		if len(answers) < 2 {
			t.Errorf("%s has one answer for all inputs: %v", k.Name, answers)
		}
	}
}

func TestTheQuestionsHaveTheirAnswers(t *testing.T) {
	for _, policy := range []func() (map[string]string, []corpus.Question){
		corpus.Small,
		func() (map[string]string, []corpus.Question) { return corpus.Grants(100_000) },
	} {
		files, questions := policy()
		g, seen := load(t, files), map[string]bool{}
		for _, q := range questions {
			seen[q.Result] = true
			if got := decide(t, g, q.Path, q.Input); got != q.Result {
				t.Errorf("%s of %s is %s, not %s", q.Path, q.Input, got, q.Result)
			}
		}
		if len(seen) < 2 {
			t.Errorf("all questions of a policy have the one answer %v", seen)
		}
	}
}
