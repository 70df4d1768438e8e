package api_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the pages of docs/reference/api and that of the events by their names.
func pages(t *testing.T) map[string]string {
	t.Helper()
	const reference = "../docs/reference/"
	names, err := filepath.Glob(reference + "api/*.md")
	if err != nil || len(names) < 5 {
		t.Fatalf("the pages of the API are %q (%v)", names, err)
	}
	texts := map[string]string{}
	for _, name := range append(names, reference+"events.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimPrefix(strings.TrimPrefix(name, reference), "api/")] = string(text)
	}
	return texts
}

// scope is what openapi.yaml says that a route needs; empty: no token is needed.
func (o *openAPI) scope(route string) string {
	method, path, _ := strings.Cut(route, " ")
	scope, _ := o.doc.Paths.Value(path).GetOperation(method).Extensions["x-scope"].(string)
	return scope
}

// Each operation of openapi.yaml has a row in the index, with the scope and the page that has its request and answer.
func TestOpenAPIAndThePagesTellOfTheSameRoutes(t *testing.T) {
	document := readOpenAPI(t, false)
	operations, told, all := document.operations(), map[string]bool{}, pages(t)
	row := regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^` ?]*)` \\|")
	rows := map[string]string{}
	for name, page := range all {
		for _, m := range row.FindAllStringSubmatch(page, -1) {
			if rows[m[1]] != "" {
				t.Errorf("%s and %s both have a row of %s", rows[m[1]], name, m[1])
			}
			rows[m[1]] = name
			if operations[m[1]] == nil {
				t.Errorf("docs/reference/api/%s has %s, which is not in openapi.yaml", name, m[1])
			}
		}
	}
	indexRow := regexp.MustCompile("(?m)^\\| \\[`([A-Z]+ /[^` ?]*)`\\]\\(([^)#]*)[^)]*\\) \\| (.*) ?\\|$")
	for _, m := range indexRow.FindAllStringSubmatch(all["README.md"], -1) {
		route, page, scope := m[1], m[2], strings.NewReplacer("`", "", " ", "").Replace(m[3])
		told[route], told[strings.TrimSuffix(route, "/{path}")] = true, true // a row of {path} is of the route without, too
		if operations[route] == nil {
			t.Errorf("the index has %s, which is not in openapi.yaml", route)
		} else if want := document.scope(route); want != scope {
			t.Errorf("the index says that %s needs %q, and openapi.yaml %q", route, scope, want)
		}
		if page == "" || page == "../events.md" {
			page = "README.md"
		}
		if rows[route] != page {
			t.Errorf("the index says that %s has %s, and it is on %q", page, route, rows[route])
		}
	}
	for route := range operations {
		if !told[route] {
			t.Errorf("openapi.yaml has %s, which is not in the index of docs/reference/api", route)
		}
	}
}
