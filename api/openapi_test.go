package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"go.yaml.in/yaml/v3"
)

// openAPI is openapi.yaml, and which of its answers were seen.
type openAPI struct {
	doc  *openapi3.T
	mux  *http.ServeMux // finds the route of a request, as the server does
	seen map[string]bool
}

// readOpenAPI reads the document as it stands, or sealed: then an object of an answer has the fields that
// are listed and no others. Callers must accept more fields; a test must not.
func readOpenAPI(t testing.TB, seal bool) *openAPI {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if seal {
		var tree map[string]any
		if err := yaml.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		sealAnswers(tree)
		if text, err = json.Marshal(tree); err != nil {
			t.Fatal(err)
		}
	}
	o := &openAPI{mux: http.NewServeMux(), seen: map[string]bool{}}
	if o.doc, err = openapi3.NewLoader().LoadFromData(text); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range api.Routes() {
		o.mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	return o
}

// sealAnswers adds additionalProperties: false to every schema with properties that an answer can reach.
func sealAnswers(tree map[string]any) {
	components := tree["components"].(map[string]any)
	schemas, done := components["schemas"].(map[string]any), map[string]bool{}
	var seal func(node any)
	seal = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, n := range node {
				seal(n)
			}
		case map[string]any:
			if ref, ok := node["$ref"].(string); ok {
				name, ok := strings.CutPrefix(ref, "#/components/schemas/")
				if ok && !done[name] {
					done[name] = true
					seal(schemas[name])
				}
				return
			}
			if _, ok := node["properties"]; ok && node["additionalProperties"] == nil {
				node["additionalProperties"] = false
			}
			for _, n := range node {
				seal(n)
			}
		}
	}
	seal(components["responses"])
	for _, path := range tree["paths"].(map[string]any) {
		for _, operation := range path.(map[string]any) {
			if operation, ok := operation.(map[string]any); ok {
				seal(operation["responses"])
			}
		}
	}
}

// documented is a route's pattern as OpenAPI writes it.
func documented(pattern string) string {
	return strings.NewReplacer("{path...}", "{path}", "{$}", "").Replace(pattern)
}

// route is what the document says of a request's method and path, and the values of the path's parameters.
func (o *openAPI) route(t testing.TB, r *http.Request) (*routers.Route, map[string]string) {
	t.Helper()
	_, pattern := o.mux.Handler(r)
	path := documented(pattern)
	item := o.doc.Paths.Value(path)
	if item == nil || item.GetOperation(r.Method) == nil {
		t.Fatalf("%s %s is not in openapi.yaml", r.Method, path)
	}
	values := map[string]string{}
	if prefix, rest, ok := strings.Cut(path, "{"); ok {
		name, suffix, _ := strings.Cut(rest, "}")
		values[name] = strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, prefix), suffix)
	}
	return &routers.Route{Spec: o.doc, Path: path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)}, values
}

// authenticated says whether a request has the token where a security scheme of the document wants it.
func authenticated(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	r, name, want := in.RequestValidationInput.Request, "Authorization", "Bearer "+token
	if in.SecurityScheme.Type == "apiKey" {
		name = in.SecurityScheme.Name
		if strings.HasSuffix(name, "Token") {
			want = token
		}
	}
	if r.Header.Get(name) != want {
		return errors.New("the token is not in " + name)
	}
	return nil
}

// ask sends a request to a real server, which must answer with the status, and compares both with the
// document: the request must be right by it, unless wrong says otherwise.
func (o *openAPI) ask(s *sidecar, q question, status int, wrong ...bool) {
	s.t.Helper()
	got, answer, header := s.request(q.method, q.target, q.body, q.headers...)
	if got != status {
		s.t.Errorf("%s %s %.100s %q: %d %.500s; want %d", q.method, q.target, q.body, q.headers, got, answer, status)
	}
	o.compare(s.t, q, got, header, answer, len(wrong) > 0)
}

// compare holds a request and its answer against the document.
func (o *openAPI) compare(t testing.TB, q question, status int, header http.Header, answer string, wrong bool) {
	t.Helper()
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(t.Context(), q.method, "http://127.0.0.1:18970"+q.target, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range q.headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	route, values := o.route(t, r)
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: values, Route: route, Options: &openapi3filter.Options{
		AuthenticationFunc: authenticated, IncludeResponseStatus: true, SkipSettingDefaults: true,
		RejectWhenRequestBodyNotSpecified: true, ExcludeRequestBody: r.Header.Get("Content-Encoding") != "", // it is not unpacked
	}}
	if err := openapi3filter.ValidateRequest(t.Context(), in); (err != nil) != wrong {
		t.Errorf("%s %s %.200s %q, answered with %d: the document finds %v", q.method, q.target, q.body, q.headers, status, err)
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: status, Header: header, Options: in.Options, Body: io.NopCloser(strings.NewReader(answer)),
	})
	if err != nil {
		t.Errorf("%s %s %.200s %q is not answered as the document says: %v\n%d %.2000s", q.method, q.target, q.body, q.headers, err, status, answer)
	}
	o.seen[fmt.Sprintf("%s %s %d", q.method, route.Path, status)] = true
}

// operations are the document's, as METHOD PATH, with their answers' statuses.
func (o *openAPI) operations() map[string][]string {
	all := map[string][]string{}
	for path, item := range o.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			all[method+" "+path] = slices.Sorted(maps.Keys(operation.Responses.Map()))
		}
	}
	return all
}

func TestTheOpenAPIDocumentIsValid(t *testing.T) {
	o := readOpenAPI(t, false)
	if err := o.doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	used, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := o.doc.Components
	for kind, names := range map[string][]string{
		"schemas": slices.Collect(maps.Keys(c.Schemas)), "responses": slices.Collect(maps.Keys(c.Responses)), "parameters": slices.Collect(maps.Keys(c.Parameters)),
		"headers": slices.Collect(maps.Keys(c.Headers)), "requestBodies": slices.Collect(maps.Keys(c.RequestBodies)),
	} {
		for _, name := range names {
			if name != "LifecycleEvent" && !bytes.Contains(used, []byte(`"#/components/`+kind+`/`+name+`"`)) {
				t.Errorf("nothing refers to %s/%s", kind, name)
			}
		}
	}
}

// TestOpenAPIIsReadAlikeByOthers: an unquoted comma ends a text and begins a key without a value, which our reader of the
// document lets pass; and a client that is generated from the document takes an object of which nothing is said for an empty one.
func TestOpenAPIIsReadAlikeByOthers(t *testing.T) {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	var look func(node any, at string)
	look = func(node any, at string) {
		switch node := node.(type) {
		case []any:
			for i, n := range node {
				look(n, fmt.Sprintf("%s[%d]", at, i))
			}
		case map[string]any:
			kinds, _ := node["type"].([]any)
			if isObject := node["type"] == "object" || slices.Contains(kinds, any("object")); isObject && node["properties"] == nil && node["additionalProperties"] == nil {
				t.Errorf("%s is an object, and says neither properties nor additionalProperties", at)
			}
			for key, n := range node {
				if n == nil && !strings.HasSuffix(at, ".example") {
					t.Errorf("%s.%s has no value: is a comma to be quoted?", at, key)
				}
				look(n, at+"."+key)
			}
		}
	}
	look(tree, "")
}

// TestOpenAPIHasEveryRouteAndNoOther asks the server which methods each route has.
func TestOpenAPIHasEveryRouteAndNoOther(t *testing.T) {
	o, s := readOpenAPI(t, false), full(t)
	served := map[string]bool{}
	for _, pattern := range api.Routes() {
		path := documented(pattern)
		_, _, h := s.request(http.MethodOptions, strings.NewReplacer("{path}", "p/x", "{list}", "block").Replace(path), "", "X-DefenseClaw-Client: t")
		methods := strings.Split(h.Get("Allow"), ", ")
		for _, method := range methods {
			if method != http.MethodHead {
				served[method+" "+path] = true
			}
		}
		opa := strings.HasPrefix(path, "/v0/") || strings.HasPrefix(path, "/v1/") && path != "/v1/guardrail/config"
		if head := slices.Contains(methods, http.MethodHead); head != (slices.Contains(methods, http.MethodGet) && !opa) {
			t.Errorf("%s has the methods %v; the document says of all that they have HEAD with GET, but for OPA's", path, methods)
		}
	}
	operations := o.operations()
	for route := range served {
		if operations[route] == nil {
			t.Errorf("%s is not in openapi.yaml", route)
		}
	}
	for route := range operations {
		if !served[route] {
			t.Errorf("%s is in openapi.yaml and is not served", route)
		}
	}
}
