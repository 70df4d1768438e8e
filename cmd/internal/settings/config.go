package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxConfigBytes bounds config.yaml, which a running sidecar reads again and again.
const maxConfigBytes = 4 << 20

// configFile is what config.yaml holds.
type configFile struct {
	text    []byte
	missing bool
	values  map[string]any
	root    yaml.Node // for the lines
}

func readConfig(path string) (c configFile, err error) {
	c.text, err = readRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return configFile{missing: true}, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the settings: %w", err)
	}
	return parseConfig(path, c.text)
}

func parseConfig(path string, text []byte) (configFile, error) {
	c := configFile{text: text}
	err := yaml.Unmarshal(c.text, &c.root)
	if err == nil {
		if err := c.checkText(path); err != nil {
			return c, err
		}
	}
	if err == nil && !c.root.IsZero() {
		err = c.root.Decode(&c.values)
	}
	if err != nil {
		return c, fmt.Errorf("read the settings in %s: %w", path, err)
	}
	acceptOldNames(c.values)
	return c, nil
}

// acceptOldNames puts what the original gateway reads under an older name where it belongs.
func acceptOldNames(config map[string]any) {
	guardrail, _ := config["guardrail"].(map[string]any)
	if old, ok := guardrail[oldHILT]; ok && guardrail[newHILT] == nil {
		guardrail[newHILT] = old
	}
}

// The names of the setting that has the guardrail ask people, below guardrail.
const oldHILT, newHILT = "hitl", "hilt"

// readRegular reads a file that is one: opening a pipe would wait for its writer.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxConfigBytes+1))
	if err == nil && len(text) > maxConfigBytes {
		err = fmt.Errorf("%s has more than %d bytes", path, maxConfigBytes)
	}
	return text, err
}

// hasShape reports whether the value of a setting is a scalar, or a list where one may be: what is neither is no text.
func (c configFile) hasShape(s Setting) bool {
	switch v := c.value(s.Key).(type) {
	case map[string]any:
		return false
	case []any:
		return s.value.isList && !slices.ContainsFunc(v, func(one any) bool {
			switch one.(type) {
			case map[string]any, []any:
				return true
			}
			return false
		})
	}
	return true
}

// lookUp returns the value at a.b in nested maps as text; empty when there is none.
func (c configFile) lookUp(key string) string {
	v := c.value(key)
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (c configFile) value(key string) any {
	var v any = c.values
	for part := range strings.SplitSeq(key, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[part]
	}
	return v
}

// place is FILE:LINE:COLUMN of the value at a.b; that of the innermost part which is there itself, where an alias or a merge
// brings the rest.
func (c configFile) place(dir, key string) string {
	line, column := 0, 0
	if len(c.root.Content) > 0 {
		line, column = 1, 1
		node := c.root.Content[0]
		for part := range strings.SplitSeq(key, ".") {
			if node = child(node, part); node == nil {
				break
			}
			line, column = node.Line, node.Column
			node = followed(node)
		}
	}
	return fmt.Sprintf("%s:%d:%d", filepath.Join(dir, configName), line, column)
}

// child returns the value of a key of a mapping; nil when there is none.
func child(mapping *yaml.Node, key string) *yaml.Node {
	if mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}
