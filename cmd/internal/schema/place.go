package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"

	"go.yaml.in/yaml/v3"
)

// dataFile is a data file and its part of the merged document.
type dataFile struct {
	*source.File
	folders []string // the path in the merged document at which the file's content is merged
	rank    int      // the order in which the engine merges files
}

const (
	rankRoot    = iota // data.json or data.yaml of the root
	rankOverlay        // data-*.json or data-*.yaml of the root
	rankFolder         // files of subfolders
)

// dataFiles lists the data files of dir in the order in which the engine merges them.
func dataFiles(dir Content) []dataFile {
	var all []dataFile
	for _, f := range dir.Files() {
		if path.Ext(f.Path) == ".rego" {
			continue
		}
		d := dataFile{File: f}
		rel := strings.TrimPrefix(f.Path, dir.Root()+"/")
		switch folder := path.Dir(rel); {
		case folder != ".":
			d.folders, d.rank = strings.Split(folder, "/"), rankFolder
		case strings.HasPrefix(rel, "data-"):
			d.rank = rankOverlay
		}
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b dataFile) int { return cmp.Compare(a.rank, b.rank) })
	return all
}

// PlaceInData finds the file and the position of the value at location, or of the innermost value around
// it that a file has. A top-level key of an overlay replaces that of earlier files, so the last overlay
// that has the key wins.
func PlaceInData(dir Content, location []string) (file string, line, column int, text string) {
	deepest := -1
	for _, f := range dataFiles(dir) {
		shared := min(len(f.folders), len(location))
		if !slices.Equal(f.folders[:shared], location[:shared]) {
			continue
		}
		atLine, atColumn, depth := find(f.File, location[shared:])
		depth += shared
		if f.rank != rankRoot && depth == 0 {
			continue // a missing top-level key is reported in data.json
		}
		if depth > deepest || f.rank == rankOverlay {
			deepest = depth
			file, line, column, text = f.Path, atLine, atColumn, diagnostic.Line(withoutMark(f.Bytes), max(1, atLine))
		}
	}
	return file, line, column, text
}

// find returns the position of the value at location in a file: of its key, if it is a member of an
// object. depth is the number of elements of location that were found.
func find(f *source.File, location []string) (line, column, depth int) {
	text := withoutMark(f.Bytes)
	if path.Ext(f.Path) != ".json" {
		return findYAML(text, location)
	}
	offset, depth := findJSON(text, location)
	before := text[:offset]
	return bytes.Count(before, []byte("\n")) + 1, offset - bytes.LastIndexByte(before, '\n'), depth
}

// withoutMark removes the byte order mark that some editors write; columns do not count it.
func withoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) }

func findJSON(text []byte, location []string) (offset, depth int) {
	value := bytes.TrimLeft(text, " \t\r\n")
	start := len(text) - len(value)
	if len(location) == 0 || len(value) == 0 || value[0] != '{' && value[0] != '[' {
		return start, 0
	}
	inArray := value[0] == '['
	offset = start
	decoder := json.NewDecoder(bytes.NewReader(value))
	if _, err := decoder.Token(); err != nil {
		return start, 0
	}
	// The search does not stop at the first match: of equal keys, the last one counts.
	for index := 0; decoder.More(); index++ {
		name, keyAt := strconv.Itoa(index), int(decoder.InputOffset())
		if !inArray {
			key, err := decoder.Token()
			if err != nil {
				return offset, depth
			}
			name, _ = key.(string)
		}
		var inner json.RawMessage
		if err := decoder.Decode(&inner); err != nil {
			return offset, depth
		}
		if name != location[0] {
			continue
		}
		at, deeper := findJSON(inner, location[1:])
		if offset, depth = start+int(decoder.InputOffset())-len(inner)+at, 1+deeper; deeper == 0 && !inArray {
			offset = start + keyAt + bytes.IndexByte(value[keyAt:], '"')
		}
	}
	return offset, depth
}

func findYAML(text []byte, location []string) (line, column, depth int) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil || len(document.Content) == 0 {
		return 0, 0, 0
	}
	at, inner := document.Content[0], document.Content[0]
	for depth < len(location) {
		key, value := child(inner, location[depth])
		if value == nil {
			break
		}
		at, inner, depth = key, value, depth+1
	}
	// YAML columns count characters, columns of diagnostics count bytes.
	before := []rune(diagnostic.Line(text, at.Line))
	before = before[:min(max(at.Column-1, 0), len(before))]
	return at.Line, len(string(before)) + 1, depth
}

// child returns the value of that name in a node and the node to point at for it, or nil.
func child(node *yaml.Node, name string) (key, value *yaml.Node) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				key, value = node.Content[i], node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(node.Content) {
			key, value = node.Content[i], node.Content[i]
		}
	}
	return key, value
}
