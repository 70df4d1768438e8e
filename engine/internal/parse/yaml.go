package parse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"defenseclaw/engine/internal/jsonast"

	"go.yaml.in/yaml/v3"
)

const (
	// maxAliasBytes bounds what the aliases of one YAML text add to it. The YAML decoder bounds the number of
	// values that aliases add, but not their size.
	maxAliasBytes = 64 << 20
	// maxKeyPairs bounds, for inputs, the pairs of keys of the same mapping. The YAML decoder compares all of
	// them, at 7 ns each: a mapping of 130,000 keys, 1 MiB, takes it a minute.
	maxKeyPairs = 20_000_000
	// maxYAMLDepth is the depth at which encoding/json and the YAML parser stop. Aliases can exceed it.
	maxYAMLDepth = 10_000
)

// YAMLError is a place in a YAML text whose value would be dropped, ambiguous or too large.
type YAMLError struct {
	Line, Column int
	Problem      string
}

func (e *YAMLError) Error() string {
	return fmt.Sprintf("yaml: line %d: %s", e.Line, e.Problem)
}

func wrongAt(n *yaml.Node, format string, args ...any) error {
	return &YAMLError{Line: n.Line, Column: n.Column, Problem: fmt.Sprintf(format, args...)}
}

// CheckYAML finds what OPA's decoder drops or accepts without an error although the text then has another meaning
// than it seems to have: a document after the first, keys that become equal through a merge, and aliases that
// make the value deep or larger than 64 MiB. Unless aliases is true, every alias is an error, and so are mappings
// of so many keys that decoding them takes long.
//
// An error is a [*YAMLError], or the parser's. Of a text that is JSON only the
// numbers are checked, because it is decoded as JSON.
func CheckYAML(text []byte, aliases bool) error {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if json.Valid(text) {
		return jsonast.CheckNumbers(text)
	}
	var first, node yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&first); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // only comments
		}
		return err
	}
	for {
		node = yaml.Node{}
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !isEmptyDocument(&node) {
			return wrongAt(node.Content[0], "a second document begins here, and would be ignored; the text must be one YAML document")
		}
	}
	m := yamlMeasure{known: map[*yaml.Node]extent{}, merged: map[*yaml.Node]bool{}, aliases: aliases}
	_, err := m.visit(&first)
	return err
}

// isEmptyDocument reports whether nothing but comments stands between the markers of a document.
func isEmptyDocument(document *yaml.Node) bool {
	if len(document.Content) == 0 {
		return true
	}
	n := document.Content[0]
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!null" && n.Anchor == ""
}

// extent is the size of a value with its aliases replaced by what they stand for.
type extent struct {
	added int // bytes that aliases add
	bytes int
	depth int
}

type yamlMeasure struct {
	known   map[*yaml.Node]extent // of values with an anchor
	merged  map[*yaml.Node]bool   // mappings that were checked as part of the one around them
	aliases bool
	pairs   int // of keys of the same mapping
}

// visit returns the extent of n. An anchor precedes its aliases, so the extent of what an alias stands for is
// known, unless the alias is inside it.
func (m *yamlMeasure) visit(n *yaml.Node) (extent, error) {
	if n.Kind == yaml.AliasNode {
		return m.alias(n)
	}
	size := extent{bytes: len(n.Value) + 1}
	if n.Kind == yaml.MappingNode {
		if err := m.checkKeys(n); err != nil {
			return size, err
		}
	}
	for i, child := range n.Content {
		if isKey := n.Kind == yaml.MappingNode && i%2 == 0; !isKey {
			if err := checkNumber(child); err != nil {
				return size, err
			}
		}
		part, err := m.visit(child)
		if err != nil {
			return size, err
		}
		size.bytes += part.bytes // at most the bytes of the text and maxAliasBytes, so it does not overflow
		size.added += part.added
		size.depth = max(size.depth, part.depth+1)
		if size.added > maxAliasBytes {
			return size, wrongAt(child, "the aliases up to here add more than %d MiB", maxAliasBytes>>20)
		}
		if size.depth > maxYAMLDepth {
			return size, wrongAt(child, "aliases nest values more than %d levels deep", maxYAMLDepth)
		}
	}
	if n.Anchor != "" {
		m.known[n] = size
	}
	return size, nil
}

func (m *yamlMeasure) alias(n *yaml.Node) (extent, error) {
	if !m.aliases {
		return extent{}, wrongAt(n, "the alias *%s is not accepted here; write the value again", n.Value)
	}
	size, known := m.known[n.Alias]
	if !known {
		return extent{}, wrongAt(n, "the alias *%s stands inside the value that it repeats", n.Value)
	}
	size.added = size.bytes
	return size, nil
}

// checkNumber finds a number that JSON does not have. As a key it is a string.
func checkNumber(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!float" {
		return nil
	}
	var f float64
	if err := n.Decode(&f); err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return wrongAt(n, "%s is not a number that JSON has", n.Value)
	}
	return nil
}

// checkKeys finds keys of a mapping that cannot become strings, and keys that become one string but come to the
// mapping in two ways: OPA would keep a random one of their values.
func (m *yamlMeasure) checkKeys(mapping *yaml.Node) error {
	keys := len(mapping.Content) / 2
	if m.pairs += keys * keys / 2; m.pairs > maxKeyPairs && !m.aliases {
		return wrongAt(mapping, "the mapping has %d keys, which is too many for YAML here; send JSON", keys)
	}
	merges := false
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		if isMerge(key) {
			merges = true
			continue
		}
		if _, _, err := keyOf(key); err != nil {
			return err
		}
	}
	// Without a merge, of equal keys the last one counts, as in JSON.
	if !merges || m.merged[mapping] {
		return nil
	}
	c := mergeCheck{seen: map[string]any{}, visited: map[*yaml.Node]bool{}, merged: m.merged}
	return c.visit(mapping)
}

// mergeCheck checks one mapping together with all that is merged into it.
type mergeCheck struct {
	seen    map[string]any // the values that keys have in YAML, by the key's text
	visited map[*yaml.Node]bool
	merged  map[*yaml.Node]bool
}

func (c *mergeCheck) visit(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if c.visited[n] {
		return nil
	}
	c.visited[n], c.merged[n] = true, true
	if n.Kind == yaml.SequenceNode {
		for _, one := range n.Content {
			if err := c.visit(one); err != nil {
				return err
			}
		}
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if isMerge(key) {
			if err := c.visit(n.Content[i+1]); err != nil {
				return err
			}
			continue
		}
		text, value, err := keyOf(key)
		if err != nil {
			return err
		}
		if other, ok := c.seen[text]; ok && other != value {
			return wrongAt(key, "the key %s also comes from a merge with another type; write it the same way in both", text)
		}
		c.seen[text] = value
	}
	return nil
}

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" }

// keyOf returns a key as OPA writes it, and its value in YAML.
func keyOf(key *yaml.Node) (text string, value any, err error) {
	place := key
	if key.Kind == yaml.AliasNode && key.Alias != nil {
		key = key.Alias
	}
	if key.Kind != yaml.ScalarNode {
		return "", nil, wrongAt(place, "a key must be a string, a number or a boolean")
	}
	switch key.ShortTag() {
	case "!!str", "!!timestamp":
		return key.Value, key.Value, nil
	}
	if err := key.Decode(&value); err != nil {
		return "", nil, err
	}
	switch v := value.(type) {
	case nil:
		return "", nil, wrongAt(place, "a key must be a string, a number or a boolean, and this one is null; quote it if it is a name")
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 32), v, nil // OPA's precision
	default:
		return fmt.Sprint(v), v, nil
	}
}
