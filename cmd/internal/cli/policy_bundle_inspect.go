package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/bundled"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/signed"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/bundle"

	"github.com/urfave/cli/v2"
)

// inspection is what policy bundle inspect --json prints.
type inspection struct {
	File      string              `json:"file"`
	Bytes     int                 `json:"bytes"`
	Unpacked  int                 `json:"unpacked_bytes"`
	Name      string              `json:"name"`     // in data.system.bundles
	Revision  string              `json:"revision"` // its author's name for its version
	Roots     []string            `json:"roots"`
	Metadata  map[string]any      `json:"metadata,omitempty"`
	ServesAs  string              `json:"serves_as,omitempty"` // the revision in policy status
	Files     []inspectedFile     `json:"files"`
	LeftOut   []inspectedFile     `json:"left_out"`
	Signature *inspectedSignature `json:"signature"`
	Refused   string              `json:"refused,omitempty"`
	Problems  []api.Diagnostic    `json:"diagnostics,omitempty"`
}

type inspectedFile struct {
	Path   string `json:"path"`
	Bytes  int    `json:"bytes"`
	Reason string `json:"reason,omitempty"`
}

type inspectedSignature struct {
	KeyID     string     `json:"key_id"`
	Algorithm string     `json:"algorithm"`
	Scope     string     `json:"scope"`
	Expires   *time.Time `json:"expires,omitempty"`
	Files     int        `json:"files"`
	Verified  *bool      `json:"verified"` // null: no key was given to verify it by
}

func inspectBundle(c *cli.Context) error {
	file, archive, set, err := openBundle(c)
	if err != nil {
		return err
	}
	sources, err := signed.ForBundles(set)
	if err != nil {
		return err
	}
	var verify func([]byte, []bundle.File) (engine.Verified, error)
	if sources != nil {
		verify = sources.VerifyBundle
	}
	found := inspected(c.Context, file, archive, set, verify)
	shown := inspectionOf(file, len(archive), found, verify != nil)
	if c.Bool("json") {
		err = report.JSON(c.App.Writer, shown)
	} else {
		err = shown.write(c.App.Writer)
		report.Write(c.App.Writer, found.Problems)
	}
	if err == nil && found.Refused != nil {
		err = &exitError{code: exitFound}
	}
	return err
}

func inspectionOf(file string, size int, found bundled.Contents, asked bool) inspection {
	shown := inspection{
		File: file, Bytes: size, Name: found.Name, ServesAs: found.Revision,
		Roots: []string{}, Files: []inspectedFile{}, LeftOut: []inspectedFile{},
	}
	sizes := map[string]int{}
	for _, f := range found.All {
		sizes[f.Path] = len(f.Content)
		shown.Unpacked += len(f.Content)
		if found.Bundle == nil { // it was refused before anybody sorted its files
			shown.Files = append(shown.Files, inspectedFile{Path: f.Path, Bytes: len(f.Content)})
		}
	}
	if b := found.Bundle; b != nil {
		shown.Revision, shown.Roots, shown.Metadata = b.Revision, b.Roots, b.Metadata
		for _, f := range b.Files {
			shown.Files = append(shown.Files, inspectedFile{Path: f.Path, Bytes: len(f.Content)})
		}
		for _, f := range b.LeftOut {
			shown.LeftOut = append(shown.LeftOut, inspectedFile{f.Path, sizes[f.Path], f.Reason})
		}
	}
	if s := found.Signature; s != nil {
		shown.Signature = &inspectedSignature{KeyID: s.KeyID, Algorithm: s.Algorithm, Scope: s.Scope, Files: s.Files}
		if !s.Expires.IsZero() {
			shown.Signature.Expires = &s.Expires
		}
		if asked {
			verified := found.Signed.By != ""
			shown.Signature.Verified = &verified
		}
	}
	if found.Refused != nil {
		shown.Refused = found.Refused.Error()
		if n := len(found.Problems); n > 0 {
			shown.Refused = terminal.Count(n, "problem")
		}
	}
	for _, d := range found.Problems {
		shown.Problems = append(shown.Problems, api.Diagnostic(d))
	}
	return shown
}

func (i inspection) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		terminal.Fprintf(w, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	line("file", "%s, %d bytes, %d unpacked", i.File, i.Bytes, i.Unpacked)
	line("revision", "%s", cmp.Or(i.Revision, "(none)"))
	if len(i.Roots) > 0 {
		line("roots", "%s", rootsLine(i.Roots))
	}
	if len(i.Metadata) > 0 {
		text, err := json.Marshal(i.Metadata)
		if err != nil {
			return err
		}
		line("metadata", "%s", string(text))
	}
	line("signature", "%s", i.Signature.line())
	switch {
	case i.Refused != "":
		line("refused", "%s", i.Refused)
	default:
		line("serves as", "%s, where it is called %s", i.ServesAs, i.Name)
	}
	for _, f := range i.Files {
		line("  "+f.Path, "%d bytes", f.Bytes)
	}
	for _, f := range i.LeftOut {
		line("  "+f.Path, "%d bytes, left out: %s", f.Bytes, f.Reason)
	}
	return w.Flush()
}

func rootsLine(roots []string) string {
	named := make([]string, len(roots))
	for i, root := range roots {
		named[i] = cmp.Or(root, "everything")
	}
	return strings.Join(named, ", ")
}

func (s *inspectedSignature) line() string {
	if s == nil {
		return "none"
	}
	text := fmt.Sprintf("key %s, %s, scope %s, of %s", s.KeyID, s.Algorithm, cmp.Or(s.Scope, "(none)"), terminal.Count(s.Files, "file"))
	if s.Expires != nil {
		text += ", until " + s.Expires.Format(time.RFC3339)
	}
	switch {
	case s.Verified == nil:
		return text + "; not verified: --signature-keys names no key"
	case *s.Verified:
		return text + "; verified"
	default:
		return text + "; wrong"
	}
}
