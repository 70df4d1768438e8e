package preset

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Create writes the file NAME.yaml of a new policy into dir, and returns its path. It says what the policy from says, that is
// one of dir or built in, with the name, and the description if that is not empty. A file that is there stays as it is, and
// the error wraps [fs.ErrExist].
func Create(dir, name, from, description string) (file string, err error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	source, err := Find(dir, from)
	if err != nil {
		return "", err
	}
	text, err := source.text()
	if err != nil {
		return "", err
	}
	if text, err = named(text, name, description); err != nil {
		return "", fmt.Errorf("policy %s: %w", from, err)
	}
	file = filepath.Join(dir, name+".yaml")
	if err := writeBeside(file, text, 0o644); errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s stays as it is: %w", file, fs.ErrExist)
	} else if err != nil {
		return "", err
	}
	return file, nil
}

// text is the file of the policy.
func (p Policy) text() ([]byte, error) {
	if p.File == "" {
		return builtin.ReadFile("builtin/" + p.Name + ".yaml")
	}
	return os.ReadFile(p.File)
}

// named gives the text of a policy another name and description. The comments, which an operator wrote for a reason, stay.
func named(text []byte, name, description string) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("a mapping was expected")
	}
	top := doc.Content[0]
	put := func(key, value string) {
		text := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
		for i := 0; i+1 < len(top.Content); i += 2 {
			if top.Content[i].Value == key {
				top.Content[i+1] = text
				return
			}
		}
		top.Content = append([]*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, text}, top.Content...)
	}
	if description != "" {
		put("description", description)
	}
	put("name", name)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(&doc), e.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
