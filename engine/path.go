package engine

import (
	"fmt"
	"net/url"
	"strings"

	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Path names a document under data: {"a", "b"} is data.a.b.
type Path []string

// ParsePath splits a slash path, such as a/b, whose parts may be percent-encoded. Empty parts are skipped. A
// part that cannot be unescaped or that holds a quote is an error.
func ParsePath(s string) (Path, error) {
	path := make(Path, 0, strings.Count(s, "/")+1)
	for part := range strings.SplitSeq(s, "/") {
		if part == "" {
			continue
		}
		name, err := url.PathUnescape(part)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", s, err)
		}
		if strings.Contains(name, `"`) {
			return nil, fmt.Errorf("path %q: part %q holds a quote", s, name)
		}
		path = append(path, name)
	}
	return path, nil
}

// String is the path as a Rego reference.
func (p Path) String() string { return eval.Path(p).String() }

func (p Path) ref() ast.Ref { return eval.Path(p).Ref() }
