package parse

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"
)

// Locate returns file:line:column of the deepest key on a path that the data file sets. It is ok when the file
// sets the whole path, or a value on the way to it. It parses the file again, so it is for errors only.
func (p *File) Locate(path []string) (place string, ok bool) {
	line, column, ok := p.locateKey(path)
	switch {
	case !ok:
		return "", false
	case line == 0:
		return p.Source.Path, true
	default:
		return fmt.Sprintf("%s:%d:%d", p.Source.Path, line, column), true
	}
}

func (p *File) locateKey(path []string) (line, column int, ok bool) {
	folders := p.Folders()
	if len(folders) >= len(path) {
		return 0, 0, len(folders) > 0 && slices.Equal(folders[:len(path)], path)
	}
	if !slices.Equal(folders, path[:len(folders)]) {
		return 0, 0, false
	}
	var root yaml.Node
	// JSON is YAML but for its tabs, which in JSON only stand between tokens.
	text := p.Source.Bytes
	if strings.HasSuffix(p.Source.Path, ".json") {
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" "))
	}
	if err := yaml.Unmarshal(text, &root); err != nil || len(root.Content) == 0 {
		return 0, 0, p.sets(path[len(folders):])
	}
	node := root.Content[0]
	for _, key := range path[len(folders):] {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		if node.Kind != yaml.MappingNode {
			return line, column, true // a value lies on the way
		}
		next := (*yaml.Node)(nil)
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				line, column, next = node.Content[i].Line, node.Content[i].Column, node.Content[i+1]
			}
		}
		if next == nil {
			return 0, 0, false
		}
		node = next
	}
	return line, column, line > 0
}

func (p *File) sets(path []string) bool {
	ref := make(ast.Ref, 0, len(path))
	for _, key := range path {
		ref = append(ref, ast.StringTerm(key))
	}
	_, err := p.Data.Find(ref)
	return err == nil
}
