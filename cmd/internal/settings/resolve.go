package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Resolve finds the value of every setting: by its flag, else in the environment, else in
// config.yaml in the data directory, else the default. flag returns a flag's value and whether it
// was given. The error names every setting that is wrong, and where its value is from.
func Resolve(flag func(name string) (string, bool), getenv func(string) string) (Settings, error) {
	var s Settings
	from := sources{flag: flag, getenv: getenv}
	if err := dataDir(&s).resolve(from); err != nil {
		return s, err
	}
	var err error
	if from.config, err = readConfig(filepath.Join(s.DataDir, "config.yaml")); err != nil {
		return s, err
	}
	from.configDir = s.DataDir
	s.credentials = getenv("CREDENTIALS_DIRECTORY")
	var wrong []error
	for _, setting := range table(&s) {
		wrong = append(wrong, setting.resolve(from))
	}
	wrong = append(wrong, s.choosePolicy())
	return s, errors.Join(wrong...)
}

// sources are the places where settings are looked up.
type sources struct {
	flag      func(string) (string, bool)
	getenv    func(string) string
	config    map[string]any // config.yaml
	configDir string
}

func (s Setting) resolve(from sources) error {
	f := from.find(s)
	err := s.value.set(f)
	if err == nil || s.value.expected == "" {
		return err
	}
	expected := s.value.expected
	if s.value.example {
		expected += " such as " + s.Default
	}
	return fmt.Errorf("%s is %q: %s was expected", f.source, f.text, expected)
}

func (from sources) find(s Setting) found {
	f := found{text: s.Default, getenv: from.getenv}
	if s.Flag != "" {
		if v, ok := from.flag(s.Flag); ok {
			f.text, f.source = v, "--"+s.Flag
			return f
		}
	}
	if s.Env != "" {
		if v := from.getenv(s.Env); v != "" {
			f.text, f.source = v, s.Env
			return f
		}
	}
	if s.Key != "" {
		if v := lookUp(from.config, s.Key); v != "" {
			f.text, f.source, f.configDir = v, s.Key+" in config.yaml", from.configDir
		}
	}
	return f
}

func readConfig(path string) (map[string]any, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("read the settings in %s: %w", path, err)
	}
	acceptOldNames(config)
	return config, nil
}

// acceptOldNames puts what the original gateway reads under an older name where it belongs.
func acceptOldNames(config map[string]any) {
	guardrail, _ := config["guardrail"].(map[string]any)
	if old, ok := guardrail["hitl"]; ok && guardrail["hilt"] == nil {
		guardrail["hilt"] = old
	}
}

// lookUp returns the value at a.b in nested maps as text; empty when there is none.
func lookUp(config map[string]any, key string) string {
	var v any = config
	for part := range strings.SplitSeq(key, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[part]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
