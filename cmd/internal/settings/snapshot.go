package settings

import (
	"bytes"
	"cmp"
	"errors"
	"net/url"
	"strings"
)

// A Snapshot is what the settings were at one moment, and where each was found. It does not change.
type Snapshot struct {
	Settings Settings

	reader  *Reader
	found   map[string]found // by the names of the rows
	config  configFile
	foreign []Foreign
	unread  []error // what nobody reads, or nobody can
	usable  bool
	dotEnv  []byte // .env in the data directory
}

// Change is a setting that is not what it was. A secret is shown as a row of asterisks.
type Change struct {
	Key string `json:"key"` // in config.yaml
	Old string `json:"old"`
	New string `json:"new"`
}

// The values of [Settings].ConfigReload.
const (
	ReloadHot     = "hot"
	ReloadRestart = "restart"
)

// Reread reads the settings again, as [Reader.Read] does.
func (s *Snapshot) Reread() (*Snapshot, error) { return s.reader.Read() }

// Empty reports whether there is no config.yaml, or nothing in it: an editor may be about to write it.
func (s *Snapshot) Empty() bool { return s.config.missing || len(bytes.TrimSpace(s.config.text)) == 0 }

// SameFile reports whether config.yaml has the same bytes in both.
func (s *Snapshot) SameFile(other *Snapshot) bool {
	return s.config.missing == other.config.missing && bytes.Equal(s.config.text, other.config.text)
}

// Over returns what is in force once s was read while serving was in force: of s the settings that apply at once,
// and of serving those that apply after a restart. applied are the changes that this makes, and waiting those that
// it leaves for a restart. With config_reload.mode restart, that is all of them, but the mode itself.
func (s *Snapshot) Over(serving *Snapshot) (next *Snapshot, applied, waiting []Change, err error) {
	next = &Snapshot{reader: s.reader, found: map[string]found{}, config: s.config, dotEnv: s.dotEnv}
	old := serving.Settings
	next.Settings.credentials, next.Settings.legacyToken = old.credentials, old.legacyToken
	hot := s.Settings.ConfigReload == ReloadHot
	var wrong []error
	for _, row := range table(&next.Settings) {
		name := row.name()
		now, before := s.found[name], serving.found[name]
		takes := row.Applies == NextCommand || row.Applies == AtOnce && (hot || row.Key == "gateway.config_reload.mode")
		changed := now.text != before.text && row.Applies != NextCommand
		change := Change{row.Key, row.shown(before.text), row.shown(now.text)}
		switch {
		case !takes && changed:
			waiting = append(waiting, change)
		case changed:
			applied = append(applied, change)
		}
		if !takes {
			now = before
		}
		next.found[name] = now
		wrong = append(wrong, row.resolve(now))
	}
	next.adoptJudge()
	next.Settings.PolicyDir, next.Settings.PolicyFrom, next.Settings.PolicyWhy = old.PolicyDir, old.PolicyFrom, old.PolicyWhy // found once
	next.Settings.Source.URL, next.Settings.Source.OPA = old.Source.URL, old.Source.OPA
	return next, applied, waiting, errors.Join(wrong...)
}

// hidden stands for a secret.
const hidden = "********"

// shown is a value as the log and the audit log may show it.
func (s Setting) shown(value string) string {
	if value != "" && s.IsSecret() {
		return hidden
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		u.User = url.User(hidden)
		return u.String()
	}
	return value
}

// IsSecret reports whether the value must not be shown. It goes by the name, so that no row can forget to say so; a name
// that ends in _env is that of a variable.
func (s Setting) IsSecret() bool {
	for _, word := range []string{"token", "secret", "password", "api_key"} {
		if strings.HasSuffix(s.Key, word) {
			return true
		}
	}
	return false
}

// Place is where config.yaml has a key, or what the key is in: FILE:LINE:COLUMN.
func (s *Snapshot) Place(key string) string { return s.config.place(s.Settings.DataDir, key) }

// A Value is a setting in force.
type Value struct {
	Text   string
	Source string // the flag, the variable, or the place in config.yaml; empty: the default
}

// An InForce is a setting in force, and where it is from.
type InForce struct {
	Key    string `json:"key,omitempty"`  // in config.yaml
	Flag   string `json:"flag,omitempty"` // with its dashes
	Env    string `json:"env,omitempty"`
	Value  string `json:"value"`  // a secret is shown as a row of asterisks
	Source string `json:"source"` // the flag, the variable, FILE:LINE:COLUMN, or default
}

// SourceDefault is the source of a setting that nothing sets.
const SourceDefault = "default"

// All lists every setting in the order of the table.
func (s *Snapshot) All() []InForce {
	var all []InForce
	for _, row := range Table() {
		f, ok := s.found[row.name()]
		if row.Flag == "data-dir" && s.Settings.DataDir != "" {
			f.text = s.Settings.DataDir
		}
		if !ok {
			continue
		}
		one := InForce{Key: row.Key, Env: row.Env, Value: row.shown(f.text), Source: f.source}
		if row.Flag != "" {
			one.Flag = "--" + row.Flag
		}
		switch {
		case f.named != "":
			one.Source = s.Place(row.Key)
		case f.source == "":
			one.Source = SourceDefault
		}
		all = append(all, one)
	}
	return all
}

// Name is how a person would call the setting: its key, else its flag, else its variable.
func (i InForce) Name() string { return cmp.Or(i.Key, i.Flag, i.Env) }

// Foreign lists the environment variables that begin as this program's do and are another's. It is empty unless the reader is of
// [ForProcess].
func (s *Snapshot) Foreign() []Foreign { return s.foreign }

// Unread lists keys and variables that no setting has. ok reports whether nothing else is wrong: then a command that only
// asks a running sidecar can go on.
func (s *Snapshot) Unread() (problems []error, ok bool) { return s.unread, s.usable }

// Value returns what is in force for a key of config.yaml. The secrets are hidden.
func (s *Snapshot) Value(key string) Value {
	for _, row := range Table() {
		if row.Key == key {
			return Value{row.shown(s.found[key].text), s.found[key].source}
		}
	}
	return Value{}
}
