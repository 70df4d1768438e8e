package api

import (
	"net/http"
	"strings"

	"defenseclaw/engine"
)

// pathRoutes are the routes whose path ends with that of a document.
var pathRoutes = []string{"/v1/data/", "/v0/data/", "/v1/batch/data/", "/v1/compile/"}

// maxSeparatedBytes bounds what is done for a request before it is known who sends it.
const maxSeparatedBytes = 8 << 10

// separated is a request with the slashes in the path of a document as separators where clients that are generated from
// openapi.yaml sent them encoded: such a client encodes a parameter of a path whole, so app/allow comes as app%2Fallow.
//
// In OPA's API an encoded slash is a part of a name. It stays one where the policy has anything at such a path, and where
// it has nothing at the other, so that OPA's clients get OPA's answers. The path is rewritten before system.authz and the
// route see the request: both see the path that is decided.
func (s *Server) separated(r *http.Request) *http.Request {
	raw := r.URL.RawPath
	if raw == "" || len(raw) > maxSeparatedBytes || !strings.Contains(raw, "%2") {
		return r
	}
	for _, route := range pathRoutes {
		rest, ok := strings.CutPrefix(raw, route)
		if !ok {
			continue
		}
		if split := slashes.Replace(rest); split != rest && s.meansParts(rest, split) {
			r = r.Clone(r.Context())
			r.URL.RawPath = ""
			if r.URL.EscapedPath() != route+split {
				r.URL.RawPath = route + split
			}
		}
		return r
	}
	return r
}

var slashes = strings.NewReplacer("%2F", "/", "%2f", "/")

// meansParts reports whether there is something at the path split, and nothing at the path whole.
func (s *Server) meansParts(whole, split string) bool {
	for part := range strings.SplitSeq(split, "/") {
		if part == "" || part == "." || part == ".." { // which the mux would clean
			return false
		}
	}
	g := s.current()
	if g == nil {
		return false
	}
	literal, err := engine.ParsePath(whole)
	if err != nil || g.CouldDefine(literal) {
		return false
	}
	parts, err := engine.ParsePath(split)
	return err == nil && g.CouldDefine(parts)
}
