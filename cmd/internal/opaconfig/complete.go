package opaconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FileScheme begins the resource of a bundle that is a file of this machine.
const FileScheme = "file://"

// complete fills in what OPA fills in, and refuses what does not go together.
func (c *Config) complete() error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(c.Bundles)) {
		b := c.Bundles[name]
		if err := c.completeBundle(name, &b); err != nil {
			wrong = append(wrong, fmt.Errorf("bundles.%s%w", name, err))
		}
		c.Bundles[name] = b
	}
	for _, id := range slices.Sorted(maps.Keys(c.Keys)) {
		if k := c.Keys[id]; k.Key == "" && k.PrivateKey == "" {
			wrong = append(wrong, fmt.Errorf("keys.%s has neither key nor private_key", id))
		}
	}
	wrong = append(wrong, c.completeStatus(), c.completeLogs())
	if p := c.DefaultDecision; p != "" && strings.Trim(p, "/") == "" {
		wrong = append(wrong, fmt.Errorf("default_decision is %q: the path of a document was expected", p))
	}
	return errors.Join(wrong...)
}

func (c *Config) completeBundle(name string, b *Bundle) (err error) {
	if b.Resource == "" {
		b.Resource = path.Join("bundles", name)
	}
	if strings.HasPrefix(b.Resource, FileScheme) {
		b.Service = ""
	} else if b.Service, err = c.service(b.Service); err != nil {
		return fmt.Errorf(".service: %w", err)
	}
	if (b.Polling.MinSeconds == nil) != (b.Polling.MaxSeconds == nil) {
		return errors.New(".polling: min_delay_seconds and max_delay_seconds belong together")
	}
	if shortest, longest := b.Polling.Delays(); shortest < 0 || longest < shortest {
		return errors.New(".polling: max_delay_seconds is below min_delay_seconds, or one is negative")
	}
	if n := b.Polling.LongSeconds; n != nil && *n < 1 {
		return fmt.Errorf(".polling.long_polling_timeout_seconds is %d: at least 1 was expected", *n)
	}
	if b.Signing == nil {
		return nil
	}
	if len(c.Keys) == 0 {
		return errors.New(".signing asks for a signature, and no keys are set")
	}
	if id := b.Signing.KeyID; id != "" {
		if _, ok := c.Keys[id]; !ok {
			return fmt.Errorf(".signing.keyid is %q: one of keys was expected", id)
		}
	}
	return nil
}

// service finds the service that is meant. OPA takes any where none is named; with several, nobody could say which.
func (c *Config) service(name string) (string, error) {
	if name == "" && len(c.Services) == 1 {
		for only := range c.Services {
			return only, nil
		}
	}
	if name == "" {
		return "", fmt.Errorf("none is named, and there are %d services", len(c.Services))
	}
	if _, ok := c.Services[name]; !ok {
		return "", fmt.Errorf("there is no service %q", name)
	}
	return name, nil
}

// optional is service for what may go to the console instead.
func (c *Config) optional(name string, elsewhere bool) (string, error) {
	if name == "" && (elsewhere || len(c.Services) == 0) {
		return "", nil
	}
	return c.service(name)
}

// noRegistry refuses a registry where something is to be sent.
func (c *Config) noRegistry(key, service string) error {
	if c.Registry(service) {
		return fmt.Errorf("%s is %s, which is a registry: an HTTP server was expected", key, service)
	}
	return nil
}

func (c *Config) completeStatus() (err error) {
	if c.Status == nil {
		return nil
	}
	if c.Status.Service, err = c.optional(c.Status.Service, c.Status.Console || c.Status.Prometheus); err != nil {
		return fmt.Errorf("status.service: %w", err)
	}
	return c.noRegistry("status.service", c.Status.Service)
}

func (c *Config) completeLogs() (err error) {
	l := c.DecisionLogs
	if l == nil {
		return nil
	}
	if l.Service, err = c.optional(l.Service, l.Console); err != nil {
		return fmt.Errorf("decision_logs.service: %w", err)
	}
	if err := c.noRegistry("decision_logs.service", l.Service); err != nil {
		return err
	}
	switch {
	case l.Partition != "":
		l.Resource = "/logs/" + l.Partition
	case l.Resource == "":
		l.Resource = "/logs"
	}
	if r := l.Reporting; (r.MinSeconds == nil) != (r.MaxSeconds == nil) {
		return errors.New("decision_logs.reporting: min_delay_seconds and max_delay_seconds belong together")
	}
	return nil
}

// StatusResource is where the status goes, below the URL of its service.
func (s *Status) StatusResource() string {
	if s.Partition != "" {
		return "/status/" + s.Partition
	}
	return "/status"
}

// TypeOCI is the type of a service that is a registry.
const TypeOCI = "oci"

// Registry reports whether a service is a registry, in which the resource of a bundle is a reference: HOST/REPOSITORY:TAG.
func (c *Config) Registry(service string) bool {
	var s struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(c.Services[service], &s) // Parse wrote it
	return s.Type == TypeOCI
}

// Keeps reports whether all that serves may be on disk: what serves is made of all bundles.
func (c *Config) Keeps() bool {
	for _, b := range c.Bundles {
		if !b.Kept() {
			return false
		}
	}
	return true
}

// URL is that of a service, without a slash at its end.
func (c *Config) URL(service string) string {
	var s struct {
		URL string `json:"url"`
	}
	_ = json.Unmarshal(c.Services[service], &s) // Parse wrote it
	return strings.TrimRight(s.URL, "/")
}

// Values are what the file says of settings of this program, by their keys in config.yaml.
func (c *Config) Values() map[string]string {
	l, values := c.DecisionLogs, map[string]string{}
	if l == nil {
		return values
	}
	values["decision_logs.console"] = strconv.FormatBool(l.Console)
	for key, p := range map[string]*string{"decision_logs.mask_decision": l.Mask, "decision_logs.drop_decision": l.Drop} {
		if p != nil {
			values[key] = strings.Trim(*p, "/")
		}
	}
	for key, n := range map[string]*int64{"decision_logs.min_delay": l.Reporting.MinSeconds, "decision_logs.max_delay": l.Reporting.MaxSeconds} {
		if n != nil {
			values[key] = max(seconds(*n), time.Millisecond).String()
		}
	}
	for key, n := range map[string]*int64{
		"decision_logs.upload_size_limit_bytes": l.Reporting.UploadBytes, "decision_logs.buffer_size_limit_bytes": l.Reporting.BufferBytes,
	} {
		if n != nil {
			values[key] = strconv.FormatInt(*n, 10)
		}
	}
	return values
}
