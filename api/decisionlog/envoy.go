package decisionlog

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// defaultHeaders are the headers of Envoy's requests that are logged: they say what was asked for, and hold no secrets
// where software does as its standards say.
var defaultHeaders = []string{
	":authority", ":method", ":path", ":scheme", "accept", "accept-encoding", "accept-language", "cache-control", "content-encoding", "content-length",
	"content-type", "host", "origin", "traceparent", "user-agent", "via", "x-envoy-*", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id",
}

// envoy says what of a request that Envoy describes is logged.
type envoy struct {
	headers []string // in lower case; one that ends in * is a prefix
	bodies  bool
}

func newEnvoy(headers []string, bodies bool) envoy {
	if headers == nil {
		headers = defaultHeaders
	}
	lower := make([]string, len(headers))
	for i, h := range headers {
		lower[i] = strings.ToLower(h)
	}
	return envoy{lower, bodies}
}

func (v envoy) allows(header string) bool {
	header = strings.ToLower(header)
	return slices.ContainsFunc(v.headers, func(allowed string) bool {
		prefix, many := strings.CutSuffix(allowed, "*")
		return header == allowed || many && strings.HasPrefix(header, prefix)
	})
}

// eraseEnvoy erases headers and bodies from an input that has the form of OPA's plugin for Envoy, whoever sent it.
func (e *event) eraseEnvoy(v envoy) {
	if e.Input == nil {
		return
	}
	root, _ := (*e.Input).(map[string]any)
	request := root
	for _, name := range []string{"attributes", "request", "http"} {
		request, _ = request[name].(map[string]any)
	}
	if request == nil {
		return
	}
	r := &eraser{event: e}
	at := []string{"input", "attributes", "request", "http"}
	remove := func(node map[string]any, path ...string) {
		if _, ok := node[path[len(path)-1]]; ok && r.erase(path) {
			delete(node, path[len(path)-1])
		}
	}
	if !v.bodies {
		for _, name := range []string{"body", "rawBody", "raw_body"} {
			remove(request, append(slices.Clip(at), name)...)
		}
		if root["parsed_body"] != nil {
			remove(root, "input", "parsed_body")
		}
	}
	headers, _ := request["headers"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if !v.allows(name) {
			remove(headers, append(slices.Clip(at), "headers", name)...)
		}
	}
	for _, name := range []string{"headerMap", "header_map"} {
		raw, _ := request[name].(map[string]any)
		list, _ := raw["headers"].([]any)
		for i, item := range list {
			header, _ := item.(map[string]any)
			if !v.allows(textOf(header["key"])) && r.erase(append(slices.Clip(at), name, "headers", strconv.Itoa(i))) {
				list[i] = nil
			}
		}
	}
}
