package extauthz_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"defenseclaw/api/extauthz"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/ast"
)

// echo hands back what it sees.
const echo = "package envoy.authz\nallow := {\"allowed\": true, \"dynamic_metadata\": input}"

// seen is what the policy sees of a request that must be answered, by the name of the field.
func (s *server) seen(r *authv3.CheckRequest) map[string]any {
	s.t.Helper()
	response, err := s.check(r)
	if err != nil || response.GetOkResponse() == nil {
		s.t.Fatalf("%v %v", response, err)
	}
	seen := response.GetDynamicMetadata().AsMap()
	delete(seen, "decision_id")
	return seen
}

func plainJSON(t *testing.T, v any) string {
	t.Helper()
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func equal(t *testing.T, name string, got any, want string) {
	t.Helper()
	if text, want := plainJSON(t, got), compact(t, []byte(want)); text != want {
		t.Errorf("%s:\n got %s\nwant %s", name, text, want)
	}
}

func TestTheInputIsThatOfOPAsPlugin(t *testing.T) {
	s := start(t, map[string]string{"p.rego": echo}, nil)
	const attributes = `{
		"contextExtensions": {"route": "shop"},
		"destination": {"address": {"socketAddress": {"address": "10.0.0.2", "portValue": 8080}}},
		"metadataContext": {
			"filterMetadata": {"envoy.filters.http.jwt_authn": {"payload": {"sub": "alice"}}},
			"typedFilterMetadata": {"own": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}}
		},
		"request": {
			"http": {
				"body": "{\"n\": 1}",
				"headers": {":path": "/shop%20floor/1?q=a&q=b&e=", "content-length": "8", "content-type": "application/json"},
				"host": "shop.example", "id": "17", "method": "POST", "path": "/shop%20floor/1?q=a&q=b&e=", "protocol": "HTTP/1.1", "scheme": "http", "size": "8"
			},
			"time": "2026-11-25T12:00:00.500Z"
		},
		"source": {"address": {"socketAddress": {"address": "10.0.0.1", "portValue": 40000, "protocol": "UDP"}}, "principal": "spiffe://td/a"},
		"tlsSession": {"sni": "shop.example"}
	}`
	equal(t, "input", s.seen(request(t, attributes)), `{
		"attributes": `+attributes+`,
		"parsed_body": {"n": 1},
		"parsed_path": ["shop floor", "1"],
		"parsed_query": {"e": [""], "q": ["a", "b"]},
		"source_principal": "spiffe://td/a",
		"truncated_body": false,
		"version": {"encoding": "protojson", "ext_authz": "v3"}
	}`)
	// A connection has no request; an empty message is not refused either: the policy decides.
	equal(t, "input of a connection", s.seen(request(t, `{"source": {"principal": "spiffe://td/a"}}`)), `{
		"attributes": {"source": {"principal": "spiffe://td/a"}}, "parsed_body": null, "parsed_path": [""], "parsed_query": {},
		"source_principal": "spiffe://td/a", "truncated_body": false, "version": {"encoding": "protojson", "ext_authz": "v3"}
	}`)
	equal(t, "input of nothing", s.seen(&authv3.CheckRequest{}), `{
		"parsed_body": null, "parsed_path": [""], "parsed_query": {}, "truncated_body": false, "version": {"encoding": "protojson", "ext_authz": "v3"}
	}`)
}

// TestMetadataOfAnUnknownTypeIsEmpty: filters have types of their own.
func TestMetadataOfAnUnknownTypeIsEmpty(t *testing.T) {
	s := start(t, map[string]string{"p.rego": echo}, nil)
	r := request(t, `{"metadataContext": {"typedFilterMetadata": {"own": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}}}}`)
	r.GetAttributes().GetMetadataContext().GetTypedFilterMetadata()["own"].TypeUrl = "type.example/of.Somebody"
	equal(t, "attributes", s.seen(r)["attributes"], `{"metadataContext": {"typedFilterMetadata": {"own": {"@type": "type.example/of.Somebody"}}}}`)
}

func TestBodiesAreReadByTheirType(t *testing.T) {
	s := start(t, map[string]string{"p.rego": echo}, nil)
	var compressed strings.Builder
	z := gzip.NewWriter(&compressed)
	if _, err := z.Write([]byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	const multipart, form = "multipart/form-data; boundary=XX", "application/x-www-form-urlencoded"
	part := func(header, value string) string { return "--XX\r\n" + header + "\r\n\r\n" + value + "\r\n" }
	for name, c := range map[string]struct {
		contentType, body string
		more              map[string]string
		raw               bool
		want              string // the body, and whether it was cut; or the message of a refusal
	}{
		"JSON":                      {"application/json", `{"a": [1, "x"]}`, nil, false, `{"a":[1,"x"]},false`},
		"JSON with a charset":       {"Application/JSON; charset=utf-8", `[]`, nil, false, `[],false`},
		"JSON as bytes":             {"application/json", `{"a":1}`, nil, true, `{"a":1},false`},
		"JSON, of its length":       {"application/json", `{"a":1}`, map[string]string{"content-length": "7"}, false, `{"a":1},false`},
		"JSON of unknown length":    {"application/json", `{"a":1}`, map[string]string{"content-length": "-1"}, false, `{"a":1},false`},
		"JSON, cut":                 {"application/json", `{"a":`, map[string]string{"content-length": "7"}, false, `null,true`},
		"JSON, cut as Envoy says":   {"application/json", `{"a":1}`, map[string]string{"x-envoy-auth-partial-body": "true"}, false, `null,true`},
		"JSON, whole as Envoy says": {"application/json", `{"a":1}`, map[string]string{"x-envoy-auth-partial-body": "false"}, false, `{"a":1},false`},
		"JSON with a strange length": {"application/json", `{"a":1}`, map[string]string{"content-length": "seven"},
			false, `body: content-length "seven" is not a number`},
		"no body":             {"application/json", ``, map[string]string{"content-length": "7"}, false, `null,false`},
		"half of JSON":        {"application/json", `{"a":`, nil, false, `body: unexpected EOF`},
		"JSON and more":       {"application/json", `{} {}`, nil, false, `body: `},
		"YAML that says JSON": {"application/json", `a: 1`, nil, false, `body: invalid character 'a'`},
		"gzip that says JSON": {"application/json", compressed.String(), map[string]string{"content-encoding": "gzip"}, true, `body: invalid character`},
		"a form":              {form, `a=1&b=x+y&a=2&c`, nil, false, `{"a":["1","2"],"b":["x y"],"c":[""]},false`},
		"a form as bytes":     {form, `a=%20`, nil, true, `{"a":[" "]},false`},
		"a form, cut":         {form, `a=1`, map[string]string{"content-length": "4"}, false, `null,true`},
		"a form that is none": {form, `a=%zz`, nil, false, `body: invalid URL escape "%zz"`},
		"a form with parts": {multipart, part(`Content-Disposition: form-data; name="a"`, "1") +
			part(`Content-Disposition: form-data; name="a"`+"\r\nContent-Type: application/json", `{"b":2}`) +
			part(`Content-Disposition: form-data; name="f"; filename="f.txt"`, "text") +
			part("Content-Type: text/plain", "no name") + "--XX--\r\n", nil, false,
			`{"a":["1",{"b":2}],"f":["text"]},false`},
		"parts as bytes":       {multipart, part(`Content-Disposition: form-data; name="a"`, "1") + "--XX--\r\n", nil, true, `{"a":["1"]},false`},
		"parts without an end": {multipart, part(`Content-Disposition: form-data; name="a"`, "1"), nil, false, `body: field "a": unexpected EOF`},
		"a part that is no JSON": {multipart,
			part(`Content-Disposition: form-data; name="a"`+"\r\nContent-Type: application/json", `{`) + "--XX--\r\n",
			nil, false, `body: field "a": unexpected EOF`},
		"parts without a boundary":  {"multipart/form-data", "--XX--\r\n", nil, false, `null,false`},
		"parts with a strange type": {"multipart/form-data; boundary", "--XX--\r\n", nil, false, `body: mime: `},
		"parts, cut": {multipart, part(`Content-Disposition: form-data; name="a"`, "1"),
			map[string]string{"content-length": "400"}, false, `null,true`},
		"text":                        {"text/plain", `{"a":1}`, map[string]string{"content-length": "400"}, false, `null,false`},
		"a gRPC message":              {"application/grpc", "\x00\x00\x00\x00\x01x", nil, true, `null,false`},
		"no type":                     {"", `{"a":1}`, nil, false, `null,false`},
		"numbers as they are written": {"application/json", `{"a":0.5}`, nil, false, `{"a":0.5},false`},
	} {
		r := get("/")
		asked := r.GetAttributes().GetRequest().GetHttp()
		asked.Headers = map[string]string{"content-type": c.contentType}
		if c.contentType == "" {
			delete(asked.Headers, "content-type")
		}
		for header, value := range c.more {
			asked.Headers[header] = value
		}
		if c.raw {
			asked.RawBody = []byte(c.body)
		} else {
			asked.Body = c.body
		}
		response, err := s.check(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if denied := response.GetDeniedResponse(); denied != nil {
			if denied.GetStatus().GetCode() != 400 || !strings.HasPrefix(c.want, "body: ") ||
				!strings.HasPrefix(denied.GetBody(), c.want) || response.GetStatus().GetMessage() != denied.GetBody() {
				t.Errorf("%s: denied with %v; want %s", name, response, c.want)
			}
			continue
		}
		seen := response.GetDynamicMetadata().AsMap()
		if got := plainJSON(t, []any{seen["parsed_body"], seen["truncated_body"]}); got != "["+c.want+"]" {
			t.Errorf("%s: %s; want %s", name, got, c.want)
		}
	}
}

// TestHeadersAreInOnePlace however Envoy is configured: encode_raw_headers leaves the map of headers empty.
func TestHeadersAreInOnePlace(t *testing.T) {
	s := start(t, map[string]string{"p.rego": `package envoy.authz
default allow := true
allow := false if input.attributes.request.http.headers["x-role"] == "guest"
allow := false if contains(input.attributes.request.http.body, "drop table")`}, nil)
	b64 := base64.StdEncoding.EncodeToString
	guest, drop := b64([]byte("guest")), b64([]byte("\xff; drop table users"))
	for name, attributes := range map[string]string{
		"a map":                  `"headers": {"x-role": "guest"}`,
		"a map with capitals":    `"headers": {"X-Role": "guest"}`,
		"raw":                    `"headerMap": {"headers": [{"key": "a", "value": "b"}, {"key": "x-role", "rawValue": "` + guest + `"}]}`,
		"raw with capitals":      `"headerMap": {"headers": [{"key": "X-ROLE", "rawValue": "` + guest + `"}]}`,
		"a value that is text":   `"headerMap": {"headers": [{"key": "x-role", "value": "guest"}]}`,
		"one of each":            `"headers": {"a": "b"}, "headerMap": {"headers": [{"key": "x-role", "value": "guest"}]}`,
		"the same twice":         `"headers": {"x-role": "guest"}, "headerMap": {"headers": [{"key": "x-role", "rawValue": "` + guest + `"}]}`,
		"a body":                 `"body": "drop table users"`,
		"a body as bytes":        `"rawBody": "` + b64([]byte("drop table users")) + `"`,
		"bytes that are no text": `"rawBody": "` + drop + `"`,
	} {
		response, err := s.check(request(t, `{"request": {"http": {"path": "/", `+attributes+`}}}`))
		if err != nil || response.GetDeniedResponse() == nil {
			t.Errorf("%s: %v %v", name, response, err)
		}
	}
}

func TestValuesOfOneHeaderAreJoined(t *testing.T) {
	s := start(t, map[string]string{"p.rego": echo}, nil)
	r := request(t, `{"request": {"http": {"headers": {"A": "1", "a": "2", "b": "1"}, "headerMap": {"headers": [
		{"key": "b", "value": "1"}, {"key": "c", "value": "1"}, {"key": "C", "rawValue": "`+base64.StdEncoding.EncodeToString([]byte("2\xff"))+`"},
		{"key": "c"}, {"key": "a", "value": "3"}]}}}}`)
	shown := s.seen(r)["attributes"].(map[string]any)["request"].(map[string]any)["http"].(map[string]any)
	equal(t, "headers", shown["headers"], `{"a": "1,2,3", "b": "1", "c": "1,2!,"}`)
}

// TestMethodHostAndPathAreAsEnvoySendsThem, as in OPA's plugin.
func TestMethodHostAndPathAreAsEnvoySendsThem(t *testing.T) {
	s := start(t, map[string]string{"p.rego": echo}, nil)
	const http = `{"host": "Shop.Example:8443", "method": "get", "path": "//A/./b;v=1/%2e%2e/c%2Fd?X=1&x=%32&x"}`
	seen := s.seen(request(t, `{"request": {"http": `+http+`}}`))
	equal(t, "request", seen["attributes"], `{"request": {"http": `+http+`}}`)
	equal(t, "path", seen["parsed_path"], `["A", ".", "b;v=1", "..", "c", "d"]`)
	equal(t, "query", seen["parsed_query"], `{"X": ["1"], "x": ["2", ""]}`)
}

// TestRawHeadersAreFound, a setting of it.
func TestRawHeadersAreFound(t *testing.T) {
	s := start(t, map[string]string{"p.rego": echo}, nil)
	b64 := base64.StdEncoding.EncodeToString
	r := request(t, `{"request": {"http": {"path": "/", "rawBody": "`+b64([]byte(`{"a":1}`))+`", "headerMap": {"headers": [
		{"key": "x", "rawValue": "/w=="}, {"key": "content-type", "rawValue": "`+b64([]byte("application/json"))+`"}, {"key": "content-length", "value": "7"}]}}}}`)
	equal(t, "body", s.seen(r)["parsed_body"], `{"a":1}`)
}

func TestAnInvalidPathIsABadRequest(t *testing.T) {
	s := start(t, map[string]string{"p.rego": echo}, nil)
	for path, want := range map[string]string{
		"/%zz":     `path: invalid URL escape "%zz"`,
		"/?a=%zz":  `path: invalid URL escape "%zz"`,
		"/?a=1;b":  `path: invalid semicolon separator in query`,
		"/a%2":     `path: invalid URL escape "%2"`,
		"/ok?a=%2": `path: invalid URL escape "%2"`,
	} {
		response, err := s.check(get(path))
		if err != nil || response.GetStatus().GetCode() != 7 ||
			response.GetDeniedResponse().GetStatus().GetCode() != 400 || response.GetDeniedResponse().GetBody() != want {
			t.Errorf("%s: %v %v", path, response, err)
		}
	}
	for path, want := range map[string]string{
		"":              `[""]`,
		"/":             `[""]`,
		"//a//b/":       `["a","","b",""]`,
		"/a%2Fb?c=d/e":  `["a","b"]`, // as the plugin has it
		"/a#b":          `["a#b"]`,
		"*":             `["*"]`,
		"http://h/a":    `["http:","","h","a"]`,
		"/%C3%A9%3F%25": `["é?%"]`,
	} {
		equal(t, path, s.seen(get(path))["parsed_path"], want)
	}
}

// FuzzInput holds that every request is either refused or shown whole, and that nothing ends the process.
func FuzzInput(f *testing.F) {
	for _, seed := range [][4]string{
		{"/a/b?c=d", "application/json", "", `{"a":[1,{"b":null}]}`},
		{"/%2F//x;y?a;b", "application/json", "9", `{"a":`},
		{"*", "application/x-www-form-urlencoded", "3", "a=1&b=%20"},
		{"", "multipart/form-data; boundary=X", "-1", "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--X--\r\n"},
		{"/", "multipart/form-data; boundary=X", "", "--X\r\nContent-Disposition: form-data; name=a\r\nContent-Type: application/json\r\n\r\n1e999\r\n--X--\r\n"},
		{"/\xff", "application/grpc", "x", "\x00\x00\x00\x00\x01x"},
	} {
		f.Add(seed[0], seed[1], seed[2], []byte(seed[3]), true)
		f.Add(seed[0], seed[1], seed[2], []byte(seed[3]), false)
	}
	f.Fuzz(func(t *testing.T, path, contentType, length string, body []byte, raw bool) {
		r := get(path)
		asked := r.GetAttributes().GetRequest().GetHttp()
		asked.Headers = map[string]string{"content-type": contentType, "content-length": length}
		if raw {
			asked.RawBody = body
		} else {
			asked.Body = string(body)
		}
		value, err := extauthz.Input(r)
		if err != nil {
			return
		}
		input, err := ast.JSON(value.Value())
		if err != nil {
			t.Fatal(err)
		}
		seen := input.(map[string]any)
		parts := []string{}
		for _, part := range seen["parsed_path"].([]any) {
			parts = append(parts, part.(string))
		}
		plain, _, _ := strings.Cut(path, "?")
		if plain, err = url.PathUnescape(plain); err != nil || strings.Join(parts, "/") != strings.TrimLeft(plain, "/") {
			t.Errorf("path %q is %q", path, parts)
		}
		if seen["parsed_body"] != nil && (len(body) == 0 || seen["truncated_body"] == true) {
			t.Errorf("body %q is %v, truncated %v", body, seen["parsed_body"], seen["truncated_body"])
		}
		shown := seen["attributes"].(map[string]any)["request"].(map[string]any)["http"].(map[string]any)
		if path != "" && shown["path"] != path {
			t.Errorf("path %q is shown as %q", path, shown["path"])
		}
	})
}
