package decisionlog

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// eraser erases secrets from an event, which it recognizes by the names of fields and by what texts look like. What the
// mask policy put in their place stays.
type eraser struct {
	*names
	event *event
}

// eraseSecrets erases the secrets of input, result, query and error.
func (e *event) eraseSecrets(n *names) {
	r := &eraser{n, e}
	e.Input = r.document(e.Input, "", "input")
	e.Result = r.document(e.Result, e.Path[strings.LastIndexByte(e.Path, '/')+1:], "result")
	r.query()
	r.err()
}

// document returns a document without its secrets, or nil if all of it is one under its name.
func (r *eraser) document(document *any, name, part string) *any {
	if document == nil {
		return nil
	}
	of := r.of(name)
	if r.isSecret(of, *document) && r.erase([]string{part}) {
		return nil
	}
	r.below(*document, []string{part}, of)
	return document
}

// below visits fields in order of their names, so that the output is deterministic. An element of an array becomes
// null, so that the indices of the others stay valid. under is the secrecy of the node's name.
func (r *eraser) below(node any, path []string, under secrecy) {
	switch node := node.(type) {
	case map[string]any:
		value := r.pairOf(node)
		for _, name := range slices.Sorted(maps.Keys(node)) {
			here, of := append(slices.Clip(path), name), r.of(name)
			if (value || under == holder) && slices.Contains(valueNames, plainName(name)) {
				of = secret
			}
			if !r.isSecret(of, node[name]) {
				r.below(node[name], here, of)
			} else if r.erase(here) {
				delete(node, name)
			}
		}
	case []any:
		flat := r.pairsIn(node)
		for i, item := range node {
			here, of := append(slices.Clip(path), strconv.Itoa(i)), under
			if flat && i%2 == 1 && r.of(textOf(item)) == plain { // else it is a list of names
				of = max(of, r.of(textOf(node[i-1])))
			}
			if !r.isSecret(of, item) {
				r.below(item, here, of)
			} else if r.erase(here) {
				node[i] = nil
			}
		}
	}
}

var (
	nameNames  = []string{"name", "key", "header", "field", "parameter", "param", "k"}
	valueNames = []string{"value", "values", "val", "v", "raw", "rawvalue", "encoded", "data"}
)

// pairOf reports whether node gives a value under the name of a secret: {"name": "Authorization", "value": "…"}.
func (r *eraser) pairOf(node map[string]any) bool {
	for key, v := range node {
		if text, ok := v.(string); ok && slices.Contains(nameNames, plainName(key)) && r.of(text) != plain {
			return true
		}
	}
	return false
}

// pairsIn reports whether a list alternates between names and values, as ["Authorization", "…"].
func (r *eraser) pairsIn(list []any) bool {
	return len(list) > 0 && len(list)%2 == 0 && !slices.ContainsFunc(list, func(item any) bool { return textOf(item) == "" })
}

// erase adds path to Erased and returns true, unless the mask policy put the value there.
func (r *eraser) erase(path []string) bool {
	where := pointer(path)
	if slices.Contains(r.event.Masked, where) {
		return false
	}
	r.event.Erased = append(r.event.Erased, where)
	return true
}

// isSecret reports whether all of v is to be erased, below a name of the given secrecy.
func (r *eraser) isSecret(of secrecy, v any) bool {
	switch v := v.(type) {
	case string:
		return v != "" && of != plain || r.holdsSecret(v)
	case json.Number, float64, int64, int:
		return of == secret
	case []any:
		texts := len(v) > 0 && !slices.ContainsFunc(v, func(item any) bool { _, ok := item.(string); return !ok })
		return texts && of != plain || of == secret && len(v) > 0
	case map[string]any:
		return of == secret && len(v) > 0
	}
	return false
}

func textOf(v any) string { text, _ := v.(string); return text }

var literal = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`") })

const erased = `"[erased]"`

// query replaces the literals of a query that names a secret, or has one in it. Queries have no masks.
func (r *eraser) query() {
	text := r.event.Query
	if text == "" {
		return
	}
	named := slices.ContainsFunc(identifier().FindAllString(text, -1), func(name string) bool { return r.of(name) != plain })
	shown := literal().ReplaceAllStringFunc(text, func(quoted string) string {
		if named || r.holdsSecret(strings.Trim(quoted, "\"`")) {
			return erased
		}
		return quoted
	})
	if shown != text {
		r.event.Query, r.event.Erased = shown, append(r.event.Erased, "/query")
	}
}

var identifier = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[\pL_][\pL\pN_-]*`) })

// err erases texts of an error that quote a secret; its code stays.
func (r *eraser) err() {
	if r.event.Error == nil {
		return
	}
	text, err := json.Marshal(r.event.Error)
	if err != nil || !r.holdsSecret(string(text)) {
		return
	}
	var document any
	if json.Unmarshal(text, &document) == nil {
		r.below(document, []string{"error"}, plain)
		r.event.Error = document
	}
}
