package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"defenseclaw/cmd/internal/preset"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

var errEmbedded = errors.New("the embedded pack cannot be changed: name a policy directory with --policy-dir, DEFENSECLAW_POLICY_DIR or policy_dir")

// dataEdit is what a command did to data.json of the policy directory, or would do.
type dataEdit struct {
	File     string          `json:"file"`
	DryRun   bool            `json:"dry_run"`
	Changed  []preset.Change `json:"changed"`
	Copy     string          `json:"copy,omitempty"`     // of the file before
	Overlaid []string        `json:"overlaid,omitempty"` // keys that stay what a file beside data.json says
}

// editData changes data.json of the policy directory after a check, unless the command is told to try alone. The errors call
// the edit what.
func editData(c *cli.Context, s settings.Settings, what string, edit func(data []byte) ([]byte, []preset.Change, error)) (dataEdit, error) {
	data, err := readData(c.Context, s.PolicyDir, source.Config{Overlays: s.Overlays})
	if err != nil {
		return dataEdit{}, err
	}
	done := dataEdit{
		File: filepath.Join(s.PolicyDir, filepath.FromSlash(data.file)), DryRun: c.Bool("dry-run"), Changed: []preset.Change{},
	}
	if data.text == nil {
		return done, fmt.Errorf("%s does not exist: a policy is written into the data of a directory that has some", done.File)
	}
	edited, changed, err := edit(data.text)
	if err != nil {
		return done, err
	}
	if done.Overlaid, err = data.overlaid(changed); err != nil || len(changed) == 0 {
		return done, err
	}
	done.Changed = changed
	if err := data.check(c, edited); err != nil {
		return done, fmt.Errorf("%s stays as it is: with %s, %w", done.File, what, err)
	}
	if !done.DryRun {
		done.Copy, err = preset.Replace(done.File, data.text, edited, time.Now())
	}
	return done, err
}

// write prints the edit, which it calls what.
func (e dataEdit) write(c *cli.Context, what string) {
	w := c.App.Writer
	switch {
	case len(e.Changed) == 0:
		terminal.Fprintf(w, "%s holds %s already: nothing to change\n", e.File, what)
	case e.DryRun:
		terminal.Fprintf(w, "%s would change %s; nothing was written\n", what, e.File)
	default:
		terminal.Fprintf(w, "%s is in %s\nthe file before is kept as %s\n", what, e.File, e.Copy)
	}
	for _, change := range e.Changed {
		terminal.Fprintf(w, "  %s: %s\n", change.Path, shown(change))
	}
	for _, key := range e.Overlaid {
		terminal.Fprintf(c.App.ErrWriter, "what serves for %s stays as that file says: it replaces the key of data.json\n", key)
	}
}

// shown is a change on one line: of a list what is added and removed, since two long ones look the same where they are cut.
func shown(change preset.Change) string {
	var before, after []json.RawMessage
	whole := compact(change.Before) + " → " + compact(change.After)
	if json.Unmarshal(change.Before, &before) != nil || json.Unmarshal(change.After, &after) != nil {
		return whole
	}
	var parts []string
	without := func(list, other []json.RawMessage, sign string) {
		for _, item := range list {
			if !slices.ContainsFunc(other, func(o json.RawMessage) bool { return canonical(o) == canonical(item) }) {
				parts = append(parts, sign+compact(item))
			}
		}
	}
	without(before, after, "−")
	without(after, before, "+")
	if len(parts) == 0 { // another order, or an item twice
		return whole
	}
	return strings.Join(parts, " ")
}

// compact is [canonical], cut where it is long.
func compact(raw json.RawMessage) string {
	if raw == nil {
		return "(nothing)"
	}
	const most = 100
	text := canonical(raw)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// canonical is JSON as it is compared: on one line, with sorted keys.
func canonical(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	return string(text)
}

// policyData is the data.json of a policy directory, and the reading that it is from.
type policyData struct {
	dir     string
	file    string // relative to the directory, with slashes
	text    []byte // nil: there is no such file
	reading *source.Reading
}

func readData(ctx context.Context, dir string, cfg source.Config) (policyData, error) {
	src, err := source.Open(dir, cfg)
	if err != nil {
		return policyData{}, err
	}
	defer src.Close() //nolint:errcheck // it was only read
	reading, err := source.Read(ctx, src, source.Options{})
	if err != nil {
		return policyData{}, err
	}
	data := policyData{dir: dir, file: path.Join(reading.Root(), "data.json"), reading: reading}
	if data.text = reading.Source(data.file); data.text == nil { // modules beside a folder rego with the data
		if nested := path.Join(reading.Root(), "rego", "data.json"); reading.Source(nested) != nil {
			data.file, data.text = nested, reading.Source(nested)
		}
	}
	return data, nil
}

// check loads the directory with another data.json, as policy validate does. Problems that the directory has already are
// not the edit's.
func (d policyData) check(c *cli.Context, edited []byte) error {
	before, err := validation(c.Context, d.with(d.text), nil)
	if err != nil {
		return err
	}
	after, err := validation(c.Context, d.with(edited), nil)
	if err != nil {
		return err
	}
	found := slices.DeleteFunc(slices.Clone(after.Diagnostics), func(n diagnostic.Diagnostic) bool {
		return after.Refused == nil && slices.ContainsFunc(before.Diagnostics, func(b diagnostic.Diagnostic) bool {
			return b.File == n.File && b.Code == n.Code && b.Message == n.Message
		})
	})
	switch {
	case len(found) > 0:
		printProblems(c.App.ErrWriter, d.dir, found)
		return fmt.Errorf("the directory has %s", terminal.Count(len(found), "problem"))
	case after.Refused != nil:
		return after.Refused
	}
	return nil
}

// with is the directory in memory, with another data.json.
func (d policyData) with(text []byte) fs.FS {
	return memfs.New(func(yield func(string, []byte) bool) {
		for _, f := range d.reading.Files() {
			content := f.Bytes
			if f.Path == d.file {
				content = text
			}
			if !yield(f.Path, content) {
				return
			}
		}
	})
}

// overlaid lists the top-level keys among the changed ones that a file beside data.json replaces, with that file.
func (d policyData) overlaid(changed []preset.Change) ([]string, error) {
	var list []string
	for _, f := range d.reading.Files() {
		if path.Dir(f.Path) != path.Dir(d.file) || !source.IsOverlayName(path.Base(f.Path)) || path.Ext(f.Path) != ".json" {
			continue
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(f.Bytes, &keys); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		for _, change := range changed {
			key, _, _ := strings.Cut(change.Path, ".")
			if _, ok := keys[key]; ok && !slices.Contains(list, key+" ("+f.Path+")") {
				list = append(list, key+" ("+f.Path+")")
			}
		}
	}
	return list, nil
}
