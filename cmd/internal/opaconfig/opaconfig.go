// Package opaconfig reads the file that opa run -c takes. [Read] says what of it this program does, and refuses each key
// that it does not, by name: a configuration that is half obeyed is worse than none.
//
// It imports no other package of this program and none of OPA's: every command resolves the settings, which read it.
package opaconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is what a file says. Not to be changed.
type Config struct {
	File     string // absolute
	Labels   map[string]string
	Services map[string]json.RawMessage // by name, as OPA's rest client reads them
	Keys     map[string]Key             // by id
	Bundles  map[string]Bundle          // by name

	Status       *Status       // nil: no status is sent
	DecisionLogs *DecisionLogs // nil: the file does not speak of them

	DefaultDecision string // a path as OPA writes it; empty: its default
	PersistenceDir  string // empty: the data directory

	active map[string]any
}

// Key verifies bundles, or signs requests.
type Key struct {
	Key        string `json:"key"` // PEM, or the secret
	PrivateKey string `json:"private_key"`
	Algorithm  string `json:"algorithm"` // empty: RS256
	Scope      string `json:"scope"`
}

// Bundle is one bundle.
type Bundle struct {
	Service  string   `json:"service"`  // empty if Resource is a file
	Resource string   `json:"resource"` // below the URL of the service, or file://…
	Polling  Polling  `json:"polling"`
	Signing  *Signing `json:"signing"` // nil: signatures are verified where there are any and keys are set
	// SizeLimit is that of each file, in bytes.
	SizeLimit int64  `json:"size_limit_bytes"`
	Persist   *bool  `json:"persist"` // nil: it is kept, unlike in OPA
	Trigger   string `json:"trigger"`
}

// Kept reports whether a bundle may be on disk.
func (b Bundle) Kept() bool { return b.Persist == nil || *b.Persist }

// Polling says when a bundle is asked for.
type Polling struct {
	MinSeconds  *int64 `json:"min_delay_seconds"`
	MaxSeconds  *int64 `json:"max_delay_seconds"`
	LongSeconds *int64 `json:"long_polling_timeout_seconds"`
}

// Signing says how a bundle has to be signed.
type Signing struct {
	KeyID   string   `json:"keyid"` // empty: the signature names the key
	Scope   string   `json:"scope"` // empty: that of the key
	Exclude []string `json:"exclude_files"`
}

// Status says where the status goes.
type Status struct {
	Service    string `json:"service"` // empty: to none
	Partition  string `json:"partition_name"`
	Console    bool   `json:"console"`
	Prometheus bool   `json:"prometheus"` // the metrics are always there
	Trigger    string `json:"trigger"`
}

// DecisionLogs says where decisions go.
type DecisionLogs struct {
	Service   string    `json:"service"` // empty: to none
	Partition string    `json:"partition_name"`
	Resource  string    `json:"resource"` // below the URL of the service; filled in
	Console   bool      `json:"console"`
	Mask      *string   `json:"mask_decision"`
	Drop      *string   `json:"drop_decision"`
	NDCache   bool      `json:"nd_builtin_cache"`
	Reporting Reporting `json:"reporting"`
}

// Reporting says when decisions are sent.
type Reporting struct {
	BufferType  string `json:"buffer_type"`
	BufferBytes *int64 `json:"buffer_size_limit_bytes"`
	UploadBytes *int64 `json:"upload_size_limit_bytes"`
	MinSeconds  *int64 `json:"min_delay_seconds"`
	MaxSeconds  *int64 `json:"max_delay_seconds"`
	Trigger     string `json:"trigger"`
}

// OPA's times between two requests for a bundle.
const (
	defaultMinDelay = 60 * time.Second
	defaultMaxDelay = 120 * time.Second
)

// Delays are the times between two requests.
func (p Polling) Delays() (shortest, longest time.Duration) {
	if p.MinSeconds == nil || p.MaxSeconds == nil {
		return defaultMinDelay, defaultMaxDelay
	}
	return seconds(*p.MinSeconds), seconds(*p.MaxSeconds)
}

// LongPoll is how long a server is asked to wait for news; negative: not at all.
func (p Polling) LongPoll() time.Duration {
	if p.LongSeconds == nil {
		return -1
	}
	return seconds(*p.LongSeconds)
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// maxBytes bounds the file.
const maxBytes = 4 << 20

// Read reads a file. The error names each key that is not taken, and why.
func Read(file string, lookUp func(string) (string, bool)) (*Config, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	text, err := readRegular(abs)
	if err != nil {
		return nil, fmt.Errorf("OPA's configuration: %w", err)
	}
	c, err := Parse(text, lookUp)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	c.File = abs
	return c, nil
}

func readRegular(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", file) // a pipe would wait for its writer
	}
	if err != nil {
		return nil, err
	}
	in, err := os.Open(file) //nolint:gosec // the operator's own
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(in, maxBytes+1))
	if err == nil && len(text) > maxBytes {
		err = fmt.Errorf("%s has more than %d bytes", file, maxBytes)
	}
	return text, err
}

// Parse is Read of a text. lookUp finds a variable of the environment.
func Parse(text []byte, lookUp func(string) (string, bool)) (*Config, error) {
	var all map[string]any
	if err := yaml.Unmarshal([]byte(substitute(string(text), lookUp)), &all); err != nil {
		return nil, err
	}
	if err := errors.Join(check("", all, top)...); err != nil {
		return nil, err
	}
	c := &Config{active: all}
	services, err := servicesOf(all)
	if err != nil {
		return nil, err
	}
	c.Services = services
	err = errors.Join(
		decode(all, "labels", &c.Labels), decode(all, "keys", &c.Keys), decode(all, "bundles", &c.Bundles), decode(all, "status", &c.Status),
		decode(all, "decision_logs", &c.DecisionLogs), decode(all, "default_decision", &c.DefaultDecision),
		decode(all, "persistence_directory", &c.PersistenceDir))
	if err != nil {
		return nil, err
	}
	return c, c.complete()
}

var variable = regexp.MustCompile(`\$\{[^}\n]*\}`)

// substitute puts variables of the environment into a text, as OPA does: one that is not set stays as it is written.
func substitute(text string, lookUp func(string) (string, bool)) string {
	return variable.ReplaceAllStringFunc(text, func(s string) string {
		if value, ok := lookUp(s[2 : len(s)-1]); ok {
			return value
		}
		return s
	})
}

// servicesOf reads what is a map by name, or a list of maps with a name each.
func servicesOf(all map[string]any) (map[string]json.RawMessage, error) {
	services := map[string]json.RawMessage{}
	add := func(name string, v any) error {
		one, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("services.%s is %v: a map was expected", name, v)
		}
		text, err := json.Marshal(one)
		services[name] = text
		return err
	}
	switch list := all["services"].(type) {
	case nil:
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(list)) {
			if err := add(name, list[name]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, v := range list {
			one, _ := v.(map[string]any)
			name, _ := one["name"].(string)
			if name == "" {
				return nil, fmt.Errorf("services: the %d. of the list has no name", i+1)
			}
			if err := add(name, v); err != nil {
				return nil, err
			}
		}
	default:
		return nil, fmt.Errorf("services is %v: a map or a list was expected", list)
	}
	return services, nil
}

func decode(all map[string]any, key string, into any) error {
	if all[key] == nil {
		return nil
	}
	text, err := json.Marshal(all[key])
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// Active is what the file says, without credentials and keys, as GET /v1/config shows it. The caller may change it.
func (c *Config) Active() map[string]any {
	shown, _ := clone(c.active).(map[string]any)
	if shown == nil {
		shown = map[string]any{}
	}
	hide(shown["services"], "credentials")
	hide(shown["keys"], "key", "private_key")
	return shown
}

func hide(v any, names ...string) {
	drop := func(one any) {
		m, _ := one.(map[string]any)
		for _, name := range names {
			delete(m, name)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for _, one := range v {
			drop(one)
		}
	case []any:
		for _, one := range v {
			drop(one)
		}
	}
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for name, one := range v {
			m[name] = clone(one)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, one := range v {
			list[i] = clone(one)
		}
		return list
	default:
		return v
	}
}
