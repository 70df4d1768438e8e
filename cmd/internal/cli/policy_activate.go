package cli

import (
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
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

func activateCommand() *cli.Command {
	return &cli.Command{
		Name: "activate",
		Usage: "write a policy of policy list into data.json of the policy directory, after a check, and keep a copy of the file; " +
			"a running sidecar serves it at once",
		ArgsUsage: "NAME",
		Flags: append(settingFlags("policy-dir", "data-dir", "overlays"),
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would change, and write nothing"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		),
		OnUsageError: usageError,
		Action:       activate,
	}
}

// activation is what policy activate did, or would do.
type activation struct {
	Policy     string          `json:"policy"`
	File       string          `json:"file"`
	DryRun     bool            `json:"dry_run"`
	Changed    []preset.Change `json:"changed"`
	Copy       string          `json:"copy,omitempty"`        // of the file before
	Overlaid   []string        `json:"overlaid,omitempty"`    // keys that stay what a file beside data.json says
	NotApplied []string        `json:"not_applied,omitempty"` // keys of the policy that are not data
}

func activate(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("expected the name of one policy after the flags; policy list has them")
	}
	s, err := resolve(c)
	if err != nil {
		return err
	}
	sayWhich(c, s)
	if s.PolicyDir == "" {
		return errors.New("the embedded pack cannot be changed: name a policy directory with --policy-dir, DEFENSECLAW_POLICY_DIR or policy_dir")
	}
	policy, err := preset.Find(s.PolicyDir, c.Args().First())
	if err != nil {
		return err
	}
	data, err := readData(c.Context, s.PolicyDir, source.Config{Overlays: s.Overlays})
	if err != nil {
		return err
	}
	done := activation{
		Policy: policy.Name, File: filepath.Join(s.PolicyDir, filepath.FromSlash(data.file)), DryRun: c.Bool("dry-run"),
		Changed: []preset.Change{}, NotApplied: policy.NotApplied,
	}
	if data.text == nil {
		return fmt.Errorf("%s does not exist: a policy is written into the data of a directory that has some", done.File)
	}
	edited, changed, err := policy.Apply(data.text)
	if err != nil {
		return err
	}
	if done.Overlaid, err = data.overlaid(changed); err != nil {
		return err
	}
	if len(changed) > 0 {
		done.Changed = changed
		if err := data.check(c, edited); err != nil {
			return fmt.Errorf("%s stays as it is: with policy %s, %w", done.File, policy.Name, err)
		}
		if !done.DryRun {
			if done.Copy, err = preset.Replace(done.File, data.text, edited, time.Now()); err != nil {
				return err
			}
		}
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, done)
	}
	done.write(c)
	return nil
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
		report.Write(c.App.ErrWriter, found)
		return fmt.Errorf("the directory has %d problems", len(found))
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

func (a activation) write(c *cli.Context) {
	w := c.App.Writer
	switch {
	case len(a.Changed) == 0:
		terminal.Fprintf(w, "%s holds policy %s already: nothing to change\n", a.File, a.Policy)
	case a.DryRun:
		terminal.Fprintf(w, "policy %s would change %s; nothing was written\n", a.Policy, a.File)
	default:
		terminal.Fprintf(w, "policy %s is in %s\nthe file before is kept as %s\n", a.Policy, a.File, a.Copy)
	}
	for _, change := range a.Changed {
		before := "(nothing)"
		if change.Before != nil {
			before = compact(change.Before)
		}
		terminal.Fprintf(w, "  %s: %s → %s\n", change.Path, before, compact(change.After))
	}
	for _, key := range a.Overlaid {
		terminal.Fprintf(c.App.ErrWriter, "what serves for %s stays as that file says: it replaces the key of data.json\n", key)
	}
	if len(a.NotApplied) > 0 {
		terminal.Fprintf(c.App.ErrWriter, "these keys of the policy are no data, and are not applied: %s\n", strings.Join(a.NotApplied, ", "))
	}
}

// compact is JSON on one line, cut where it is long.
func compact(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	const most = 100
	if runes := []rune(string(text)); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(text)
}
