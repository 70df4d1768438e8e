package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"

	"defenseclaw/cmd/internal/private"

	"go.yaml.in/yaml/v3"
)

// ErrNotEditable is wrapped by errors that say why a program must not change config.yaml. The file is as it was.
var ErrNotEditable = errors.New("change it by hand")

// A ConfigEdit is a text for config.yaml that was checked and is not written yet.
type ConfigEdit struct {
	After *Snapshot // what the settings will be

	path      string
	before    configFile
	unchanged bool
}

// Edit makes the text of config.yaml in which keys have these values, texts or booleans. It keeps comments and all other
// keys; blank lines and indentation may change. An error wraps [ErrNotEditable] if the file is not one to be changed so.
func (s *Snapshot) Edit(changes []ConfigKey) (*ConfigEdit, error) {
	e := &ConfigEdit{After: s, path: s.Settings.ConfigFile(), unchanged: true}
	if info, err := os.Lstat(e.path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		target, _ := os.Readlink(e.path) // the message is good without it
		return nil, fmt.Errorf("%s is a symbolic link to %s: %w", e.path, target, ErrNotEditable)
	}
	var err error
	if e.before, err = readConfig(e.path); err != nil {
		return nil, err
	}
	for _, change := range changes {
		f := s.found[change.Key]
		if f.source != "" && f.named == "" {
			return nil, fmt.Errorf("%s gives %s, and goes before config.yaml: %w", f.source, change.Key, ErrNotEditable)
		}
		e.unchanged = e.unchanged && f.source != "" && f.text == fmt.Sprint(change.Value)
	}
	if e.unchanged {
		return e, nil
	}
	text, err := e.before.edited(e.path, changes)
	if err != nil {
		return nil, err
	}
	e.After, err = s.reader.read(func(path string) (configFile, error) { return parseConfig(path, text) })
	return e, err
}

// Write replaces config.yaml at once and keeps its permissions. A file that changed since [Snapshot.Edit] stays as it is.
func (e *ConfigEdit) Write() error {
	if e.unchanged {
		return nil
	}
	now, err := readConfig(e.path)
	if err != nil {
		return err
	}
	if now.missing != e.before.missing || !bytes.Equal(now.text, e.before.text) {
		return fmt.Errorf("%s changed meanwhile: ask again, or %w", e.path, ErrNotEditable)
	}
	write := private.Replace
	if now.missing {
		write = private.Write
	}
	if err := write(e.path, e.After.config.text); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	return nil
}

// edited is the text with these values. It is read again and compared with what was wanted: what YAML allows beyond
// plain keys, such as a value that two keys share, must not change with them.
func (c configFile) edited(path string, changes []ConfigKey) ([]byte, error) {
	unix := bytes.ReplaceAll(c.text, []byte("\r\n"), []byte("\n"))
	root, err := soleDocument(path, unix)
	if err != nil {
		return nil, err
	}
	want, err := parseConfig(path, unix)
	if err != nil {
		return nil, err
	}
	if want.values == nil {
		want.values = map[string]any{}
	}
	for _, change := range changes {
		parts := strings.Split(change.Key, ".")
		if err := setNode(root.Content[0], parts, change.Value); err != nil {
			return nil, fmt.Errorf("%s:%w", path, err)
		}
		setValue(want.values, parts, change.Value)
	}
	var b bytes.Buffer
	if want.root.IsZero() { // comments alone are no document
		b.Write(unix)
		if len(unix) > 0 && !bytes.HasSuffix(unix, []byte("\n")) {
			b.WriteByte('\n')
		}
	}
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(root), encoder.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, err, ErrNotEditable)
	}
	text := b.Bytes()
	if len(unix) != len(c.text) {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	}
	got, err := parseConfig(path, text)
	if err != nil || !reflect.DeepEqual(got.values, want.values) || len(text) > maxConfigBytes {
		return nil, fmt.Errorf("%s cannot be changed without another change in it: %w", path, ErrNotEditable)
	}
	return text, nil
}

// soleDocument parses a text with at most one document, whose content is a mapping.
func soleDocument(path string, text []byte) (*yaml.Node, error) {
	root := &yaml.Node{Kind: yaml.DocumentNode}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(root); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the settings in %s: %w", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s has more than one document: %w", path, ErrNotEditable)
	}
	if len(root.Content) == 0 {
		root.Content = []*yaml.Node{{Kind: yaml.MappingNode}}
	}
	return root, nil
}

// setNode sets a value below a node. The error begins with the line.
func setNode(node *yaml.Node, parts []string, value any) error {
	if len(parts) == 0 {
		style := yaml.Style(0)
		if _, isText := value.(string); isText {
			style = yaml.DoubleQuotedStyle // for any text
		}
		comments := *node
		if err := node.Encode(value); err != nil {
			return err
		}
		node.Style, node.HeadComment, node.LineComment, node.FootComment = style, comments.HeadComment, comments.LineComment, comments.FootComment
		return nil
	}
	if node.Kind == 0 || node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		node.Kind, node.Tag, node.Value, node.Style = yaml.MappingNode, "!!map", "", 0
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("%d: what holds %s is no plain mapping: %w", node.Line, parts[0], ErrNotEditable)
	}
	next := child(node, parts[0])
	if next == nil && parts[0] == newHILT {
		next = child(node, oldHILT)
	}
	if next == nil {
		next = &yaml.Node{}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: parts[0]}, next)
	}
	return setNode(next, parts[1:], value)
}

// setValue does the same with what [acceptOldNames] has seen.
func setValue(values map[string]any, parts []string, value any) {
	name := parts[0]
	if len(parts) == 1 {
		values[name] = value
		return
	}
	next, ok := values[name].(map[string]any)
	if !ok {
		next = map[string]any{}
		values[name] = next
	}
	setValue(next, parts[1:], value)
}
