// Package originalhome makes, for tests, a data directory as the original gateway leaves it: its configuration, its
// token, its policies and its database with its tables and triggers. It is made from facts about that program,
// such as the names of files and columns; nothing of its text is used.
package originalhome

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/policies"
)

// The token of a home, and the name under which .env and gateway.token_env have it.
const (
	TokenName = "ORG_GATEWAY_TOKEN"
	Token     = "7f3a9c1e5b8d2046a1c9e7f350b8d462"
)

// OwnDomain is a domain that the home's firewall lets through and the embedded pack does not: an answer shows whose
// policy serves.
const OwnDomain = "only-in-this-home.example"

// files holds what has the same text in every home, but in their names, dot_ replaces a leading dot.
//
//go:embed files
var files embed.FS

// Options say how a home differs from one whose gateway was stopped in order.
type Options struct {
	Killed bool // the database has -wal and -shm beside it, and its newest rows are in the former
	Flat   bool // modules are in policies and data in policies/rego, as older versions left them
}

// Make makes the home dir, which must not exist or be empty.
func Make(dir string, o Options) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return errors.Join(err, fmt.Errorf("make a home in %s: it is not empty", dir))
	}
	if err := writeFiles(dir); err != nil {
		return err
	}
	if err := writePolicy(dir, o.Flat); err != nil {
		return err
	}
	return makeDatabase(filepath.Join(dir, "audit.db"), o.Killed)
}

func writeFiles(dir string) error {
	return fs.WalkDir(files, "files", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		to := strings.ReplaceAll(strings.TrimPrefix(name, "files/"), "dot_", ".")
		mode := fs.FileMode(0o600)
		switch {
		case strings.HasPrefix(to, "hooks/"):
			mode = 0o700
		case strings.HasPrefix(to, "policies/"):
			mode = 0o644
		}
		return write(filepath.Join(dir, filepath.FromSlash(to)), text, mode)
	})
}

// writePolicy writes a policy with the original's packages and rule names: the project's own pack, with data that
// tells it from the embedded one.
func writePolicy(dir string, flat bool) error {
	pack := policies.FS()
	names, err := fs.Glob(pack, "*.rego")
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "policies", "rego")
	modules := data
	if flat {
		modules = filepath.Dir(data)
	}
	for _, name := range names {
		text, err := fs.ReadFile(pack, name)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(modules, name), text, 0o644); err != nil {
			return err
		}
	}
	text, err := fs.ReadFile(pack, "data.json")
	if err != nil {
		return err
	}
	const before = `"allowed_domains": [`
	own := strings.Replace(string(text), before, before+`"`+OwnDomain+`", `, 1)
	if own == string(text) {
		return errors.New("the embedded data.json has no allowed_domains to add to")
	}
	return write(filepath.Join(data, "data.json"), []byte(own), 0o644)
}

func write(path string, text []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, text, mode)
}
