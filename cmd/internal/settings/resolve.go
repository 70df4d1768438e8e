package settings

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Resolve finds the value of every setting: by its flag, else in the environment, else in
// config.yaml in the data directory, else the default. flag returns a flag's value and whether it
// was given. The error names every setting that is wrong, and where its value is from.
func Resolve(flag func(name string) (string, bool), getenv func(string) string) (Settings, error) {
	snapshot, err := NewReader(flag, getenv).Read()
	return snapshot.Settings, err
}

// A Reader reads the settings, as often as it is asked to. Safe for concurrent use.
type Reader struct {
	flag    func(string) (string, bool)
	getenv  func(string) string
	environ []string // NAME=VALUE: whose names are checked
	more    []string // variables that are no settings and not another's
}

// ForProcess makes a reader of the environment of this process. It refuses variables that begin as this program's do, and
// are neither settings nor among more nor known to be another program's.
func ForProcess(flag func(name string) (string, bool), more ...string) *Reader {
	r := NewReader(flag, os.Getenv)
	r.environ, r.more = os.Environ(), more
	return r
}

// NewReader makes a reader. The flags keep the values that they have now.
func NewReader(flag func(name string) (string, bool), getenv func(string) string) *Reader {
	given := map[string]string{}
	for _, s := range Table() {
		if v, ok := flag(s.Flag); ok && s.Flag != "" {
			given[s.Flag] = v
		}
	}
	return &Reader{flag: func(name string) (string, bool) { v, ok := given[name]; return v, ok }, getenv: getenv}
}

// Read resolves the settings as [Resolve] does. The snapshot holds what could be resolved also when there is an error.
func (r *Reader) Read() (*Snapshot, error) { return r.read(readConfig) }

// read resolves the settings with the config.yaml that config returns.
func (r *Reader) read(config func(path string) (configFile, error)) (*Snapshot, error) {
	snapshot := &Snapshot{reader: r, found: map[string]found{}}
	from := sources{flag: r.flag, getenv: r.getenv}
	if err := dataDir(&snapshot.Settings).resolve(from.find(dataDir(&snapshot.Settings))); err != nil {
		return snapshot, err
	}
	set := &snapshot.Settings
	var err error
	if from.config, err = config(set.ConfigFile()); err != nil {
		return snapshot, err
	}
	snapshot.config = from.config
	from.configDir = set.DataDir
	set.credentials, set.legacyToken = r.getenv("CREDENTIALS_DIRECTORY"), r.getenv(legacyTokenVariable)
	from.dotEnv, _ = os.ReadFile(set.envFile()) // Token says what is wrong with it
	snapshot.dotEnv = from.dotEnv
	var wrong []error
	snapshot.unread = from.config.unknownKeys(set.DataDir)
	if from.opa, err = set.readOPA(&from); err != nil {
		wrong = append(wrong, err)
	}
	for _, setting := range table(set) {
		f := from.find(setting)
		snapshot.found[setting.name()] = f
		wrong = append(wrong, setting.resolve(f))
	}
	snapshot.adoptJudge()
	wrong = append(wrong, set.choosePolicy())
	known := slices.Concat(snapshot.variablesOf(), from.asked, r.more)
	foreign, unknown := variableCheck{set, known, set.OtherVariables}.foreign(r.environ)
	snapshot.foreign, snapshot.unread = foreign, append(snapshot.unread, unknown...)
	snapshot.usable = errors.Join(wrong...) == nil
	return snapshot, errors.Join(append(snapshot.unread, wrong...)...)
}

// ConfigFile is the path of config.yaml.
func (s Settings) ConfigFile() string { return filepath.Join(s.DataDir, configName) }

const configName = "config.yaml"

// sources are the places where settings are looked up.
type sources struct {
	flag      func(string) (string, bool)
	getenv    func(string) string
	config    configFile
	configDir string
	dotEnv    []byte            // .env in the data directory
	opa       map[string]string // of settings in OPA's configuration, by their keys
	asked     []string          // the variables that OPA's configuration names
}

// lookUp finds a variable. One that is empty is as one that is not set: the two cannot be told apart here.
func (from *sources) lookUp(name string) (string, bool) {
	from.asked = append(from.asked, name)
	value := from.getenv(name)
	return value, value != ""
}

func (s Setting) resolve(f found) error {
	err := s.value.set(f)
	if err == nil || s.value.expected == "" {
		return err
	}
	expected := s.value.expected
	if s.value.example {
		expected += " such as " + s.Default
	}
	return fmt.Errorf("%s is %q: %s was expected", cmp.Or(f.named, f.source), f.text, expected)
}

// name is unique in the table.
func (s Setting) name() string {
	switch {
	case s.Key != "":
		return s.Key
	case s.Flag != "":
		return "--" + s.Flag
	default:
		return s.Env
	}
}

func (from sources) find(s Setting) found {
	f := found{text: s.Default, getenv: from.getenv, dotEnv: from.dotEnv}
	if s.Flag != "" {
		if v, ok := from.flag(s.Flag); ok {
			f.text, f.source = v, "--"+s.Flag
			return f
		}
	}
	if s.Env != "" {
		if v := from.getenv(s.Env); v != "" && !isServiceLink(s.Env, v) {
			f.text, f.source = v, s.Env
			return f
		}
	}
	if s.Key != "" {
		if v := from.config.lookUp(s.Key); v != "" && from.config.hasShape(s) {
			f.text, f.source, f.configDir = v, s.Key+" in config.yaml", from.configDir
			f.named = from.config.place(from.configDir, s.Key) + ": " + s.Key
			return f
		}
		if v, ok := from.opa[s.Key]; ok {
			f.text, f.source = v, s.Key+" in OPA's configuration"
		}
	}
	return f
}
