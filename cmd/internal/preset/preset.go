// Package preset applies a policy of the operator's choice to the data of a policy directory: one of those built in
// (default, strict, permissive), or a file NAME.yaml beside the policy, as the original gateway's operators have them.
// Most callers need [Find], [Policy.Apply] and [Replace]; [Create] makes such a file, and [Apply] edits single values.
//
// It changes the keys that the policy names, and no others: what a file says of webhooks or of the watch is not data.
package preset

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// BuiltIn are the names of the policies in the program.
func BuiltIn() []string { return []string{"default", "strict", "permissive"} }

// Policy is one policy that can be applied.
type Policy struct {
	Name        string
	Description string
	File        string   // empty: built in
	NotApplied  []string // keys of the file that are not data

	doc document
}

// document is a policy as its file has it.
type document struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	Admission   struct {
		ScanOnInstall       *bool `yaml:"scan_on_install"`
		AllowListBypassScan *bool `yaml:"allow_list_bypass_scan"`
	} `yaml:"admission"`
	Enforcement struct {
		MaxDelaySeconds *float64 `yaml:"max_enforcement_delay_seconds"`
	} `yaml:"enforcement"`
	SkillActions     map[string]action            `yaml:"skill_actions"`
	ScannerOverrides map[string]map[string]action `yaml:"scanner_overrides"`
	FirstParty       []map[string]any             `yaml:"first_party_allow_list"`
	Guardrail        map[string]any               `yaml:"guardrail"`
	Firewall         map[string]any               `yaml:"firewall"`
	Audit            map[string]any               `yaml:"audit"`
	Rest             map[string]any               `yaml:",inline"`
}

// action is what is done about findings of one severity.
type action struct {
	Runtime string `yaml:"runtime" json:"runtime"`
	File    string `yaml:"file" json:"file"`
	Install string `yaml:"install" json:"install"`
}

// ErrUnknown is returned for a name that no policy has.
var ErrUnknown = errors.New("there is no such policy")

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// CheckName returns an error for a name that no policy can have: it is one element of a path, in plain characters.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("policy %q: a name of letters, digits, -, _ and dots was expected, with a letter or a digit first", name)
	}
	return nil
}

// Find returns the policy of a name: from NAME.yaml in dir if that is there, else built in.
func Find(dir, name string) (Policy, error) {
	if err := CheckName(name); err != nil {
		return Policy{}, err
	}
	file := filepath.Join(dir, name+".yaml")
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	switch {
	case err == nil:
		return read(name, file, text)
	case !errors.Is(err, fs.ErrNotExist):
		return Policy{}, fmt.Errorf("policy %s: %w", name, err)
	case !slices.Contains(BuiltIn(), name):
		return Policy{}, fmt.Errorf("policy %s: %w: %s are built in, and %s does not exist", name, ErrUnknown, strings.Join(BuiltIn(), ", "), file)
	}
	text, err = builtin.ReadFile("builtin/" + name + ".yaml")
	if err != nil {
		return Policy{}, err
	}
	return read(name, "", text)
}

// List returns all policies: the files of dir, and those built in whose name no file has. A file that is no policy is left out.
func List(dir string) ([]Policy, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	names := BuiltIn()
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if validName.MatchString(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var all []Policy
	for _, name := range names {
		if p, err := Find(dir, name); err == nil && (p.File == "" || p.isPolicy()) {
			all = append(all, p)
		}
	}
	return all, nil
}

func read(name, file string, text []byte) (Policy, error) {
	p := Policy{Name: name, File: file}
	if err := yaml.Unmarshal(text, &p.doc); err != nil {
		return p, fmt.Errorf("policy %s: %s: %w", name, file, err)
	}
	p.Description = p.doc.Description
	for key := range p.doc.Rest {
		p.NotApplied = append(p.NotApplied, key)
	}
	slices.Sort(p.NotApplied)
	return p, nil
}

// isPolicy tells a policy from another YAML file in its directory.
func (p Policy) isPolicy() bool {
	return p.doc.SkillActions != nil || p.doc.Guardrail != nil || p.doc.Firewall != nil
}
