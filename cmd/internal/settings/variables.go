package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// prefix begins the names of this program's environment variables.
const prefix = "DEFENSECLAW_"

// Kubernetes gives each container the addresses of the services around it, in variables that begin with a service's
// name. Those of a service called defenseclaw, or defenseclaw-api, have the prefix of the settings.
var (
	serviceLink = regexp.MustCompile(`^DEFENSECLAW(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)$`)
	serviceURL  = regexp.MustCompile(`^(tcp|udp|sctp)://.+:[0-9]+$`)
)

// isServiceLink reports whether a variable is one of Kubernetes.
func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) || strings.HasPrefix(name, prefix) && strings.HasSuffix(name, "_PORT") && serviceURL.MatchString(value)
}

// A Foreign is an environment variable with this program's prefix that is not its own.
type Foreign struct {
	Name  string `json:"name"`
	Whose string `json:"whose"`
}

// variableCheck sorts the variables of an environment.
type variableCheck struct {
	set    *Settings
	known  []string
	others []string // names, or beginnings with a * behind them, that the operator says are not this program's
}

// foreign lists the variables with this program's prefix that are no settings: those that are known to be
// somebody else's, and as errors the rest.
func (v variableCheck) foreign(environ []string) (foreign []Foreign, wrong []error) {
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		short, ours := strings.CutPrefix(name, prefix)
		switch {
		case !ours || value == "":
		case isServiceLink(name, value):
			foreign = append(foreign, Foreign{name, "a service link of Kubernetes"})
		case slices.Contains(v.known, name):
		case slices.ContainsFunc(v.others, func(pattern string) bool { return matches(pattern, name) }):
			foreign = append(foreign, Foreign{name, "named in DEFENSECLAW_OTHER_VARIABLES"})
		case short == "CONFIG":
			if !samePath(value, v.set.ConfigFile()) {
				wrong = append(wrong, fmt.Errorf("%s is %q: the settings are read from %s; set DEFENSECLAW_HOME to the directory of config.yaml", name, value, v.set.ConfigFile()))
			}
		case short == "DATA_DIR":
			if !samePath(value, v.set.DataDir) {
				wrong = append(wrong, fmt.Errorf("unknown variable %s; did you mean DEFENSECLAW_HOME? The data directory is %s", name, v.set.DataDir))
			}
		case originalVariable(short):
			foreign = append(foreign, Foreign{name, "the original gateway's"})
		default:
			wrong = append(wrong, v.unknown(name))
		}
	}
	return foreign, wrong
}

func (v variableCheck) unknown(name string) error {
	if near, _ := nearest(strings.TrimPrefix(name, prefix), v.short()); near != "" {
		return fmt.Errorf("unknown variable %s; did you mean %s? Name it in DEFENSECLAW_OTHER_VARIABLES if it is another program's", name, prefix+near)
	}
	return fmt.Errorf("unknown variable %s; docs/reference/configuration.md has all that begin so. Name it in DEFENSECLAW_OTHER_VARIABLES if it is another program's", name)
}

func (v variableCheck) short() (names []string) {
	for _, name := range v.known {
		if short, ours := strings.CutPrefix(name, prefix); ours {
			names = append(names, short)
		}
	}
	return names
}

func matches(pattern, name string) bool {
	beginning, open := strings.CutSuffix(pattern, "*")
	return pattern == name || open && strings.HasPrefix(name, beginning)
}

func samePath(a, b string) bool {
	if rest, ok := strings.CutPrefix(a, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			a = filepath.Join(home, rest)
		}
	}
	if absolute(a) == absolute(b) {
		return true
	}
	first, err := os.Stat(a)
	second, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(first, second)
}

// variablesOf are the names of the variables that the settings read, those that settings name included.
func (s *Snapshot) variablesOf() []string {
	names := []string{"DEFENSECLAW_LLM_KEY", "DEFENSECLAW_LLM_MODEL", TokenVariable}
	for _, row := range Table() {
		names = append(names, row.Env)
		if strings.HasSuffix(row.Key, "_env") {
			names = append(names, s.found[row.name()].text)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}
