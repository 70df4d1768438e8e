package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ownPrefix begins the names of keys that are nobody's setting, such as a place for anchors.
const ownPrefix = "x-"

// checkText names keys that are given twice, which YAML's own reader names without their sections.
func (c configFile) checkText(path string) error {
	if len(c.root.Content) == 0 {
		return nil
	}
	return errors.Join(duplicates(path, "", c.root.Content[0])...)
}

// secondDocument refuses what would not be read.
func (c configFile) secondDocument(path string) []error {
	decoder, second := yaml.NewDecoder(bytes.NewReader(c.text)), new(yaml.Node)
	if decoder.Decode(new(yaml.Node)) != nil || errors.Is(decoder.Decode(second), io.EOF) {
		return nil
	}
	return []error{fmt.Errorf("%s:%d: a second document begins here, and only one is read", path, second.Line)}
}

func duplicates(path, prefix string, node *yaml.Node) (wrong []error) {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	first := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		name := prefix + key.Value
		if line, twice := first[name]; twice {
			wrong = append(wrong, fmt.Errorf("%s:%d:%d: the key %s is given twice; the first one is on line %d", path, key.Line, key.Column, name, line))
		} else {
			first[name] = key.Line
		}
		wrong = append(wrong, duplicates(path, name+".", node.Content[i+1])...)
	}
	return wrong
}

// keyCheck finds the keys of a config.yaml that nobody reads, and values of another shape than their settings have.
type keyCheck struct {
	path     string
	rows     map[string]Setting
	sections map[string]string // what holds rows, each with one of them
	names    []string          // of both, to suggest
	original bool              // the original gateway wrote the file: it may have keys that are unknown here
	wrong    []error
}

// unknownKeys lists what is wrong with the keys, in the order of the file.
func (c configFile) unknownKeys(dir string) []error {
	if len(c.root.Content) == 0 || c.values == nil {
		return nil
	}
	check := keyCheck{path: filepath.Join(dir, configName), rows: map[string]Setting{}, sections: map[string]string{}}
	for _, row := range Table() {
		if row.Key == "" {
			continue
		}
		check.rows[row.Key] = row
		for at, char := range row.Key {
			if section := row.Key[:at]; char == '.' && check.sections[section] == "" {
				check.sections[section] = row.Key
			}
		}
	}
	for name := range check.rows {
		check.names = append(check.names, name)
	}
	for name := range check.sections {
		check.names = append(check.names, name)
	}
	slices.Sort(check.names)
	check.original = c.values["config_version"] != nil || c.values["claw"] != nil
	check.mapping("", c.root.Content[0])
	return append(check.wrong, c.secondDocument(check.path)...)
}

func (k *keyCheck) mapping(prefix string, node *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], followed(node.Content[i+1])
		if key.Tag == "!!merge" {
			k.merged(prefix, value)
			continue
		}
		k.key(prefix+key.Value, key, node.Content[i+1], value)
	}
}

// merged looks at what the key << brings.
func (k *keyCheck) merged(prefix string, value *yaml.Node) {
	switch value.Kind {
	case yaml.MappingNode:
		k.mapping(prefix, value)
	case yaml.SequenceNode:
		for _, one := range value.Content {
			k.merged(prefix, followed(one))
		}
	}
}

func (k *keyCheck) key(name string, key, written, value *yaml.Node) {
	if rest, old := strings.CutPrefix(name, "guardrail."+oldHILT); old {
		name = "guardrail." + newHILT + rest
	}
	row, isRow := k.rows[name]
	example, isSection := k.sections[name]
	switch {
	case isRow:
		k.shape(row, value)
	case isSection && value.Kind == yaml.MappingNode:
		k.mapping(name+".", value)
	case isSection && value.Tag != "!!null":
		k.refuse(value, "%s is %s: keys such as %s were expected", name, described(value), example)
	case isSection, strings.HasPrefix(key.Value, ownPrefix):
	case written.Anchor != "" && !strings.Contains(name, "."): // it is there for other keys to take it
	case originalKey(name):
	default:
		k.unknown(name, key)
	}
}

func (k *keyCheck) unknown(name string, key *yaml.Node) {
	near, distance := nearest(name, k.names)
	if k.original && distance > 2 {
		near = "" // it is more likely one that is not known here than a mistake
	}
	at := fmt.Sprintf("%s:%d:%d", k.path, key.Line, key.Column)
	switch {
	case near != "":
		k.wrong = append(k.wrong, fmt.Errorf("unknown key %s at %s; did you mean %s?", name, at, near))
	case !k.original:
		k.wrong = append(k.wrong, fmt.Errorf("unknown key %s at %s; docs/reference/configuration.md has all keys, and one that begins with %s is left alone", name, at, ownPrefix))
	}
}

// shape refuses a list or a map where a setting has one value.
func (k *keyCheck) shape(row Setting, value *yaml.Node) {
	switch value.Kind {
	case yaml.ScalarNode:
		return
	case yaml.SequenceNode:
		if row.value.isList && !slices.ContainsFunc(value.Content, func(n *yaml.Node) bool { return followed(n).Kind != yaml.ScalarNode }) {
			return
		}
	}
	expected := "one value"
	if row.value.isList {
		expected = "a list of texts"
	}
	if row.value.expected != "" {
		expected = row.value.expected
	}
	k.refuse(value, "%s is %s: %s was expected", row.Key, described(value), expected)
}

func (k *keyCheck) refuse(at *yaml.Node, format string, args ...any) {
	k.wrong = append(k.wrong, fmt.Errorf("%s:%d:%d: %w", k.path, at.Line, at.Column, fmt.Errorf(format, args...)))
}

func described(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	default:
		return fmt.Sprintf("%q", node.Value)
	}
}

// followed is the node that an alias stands for. The file was decoded, so none stands for itself.
func followed(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}
