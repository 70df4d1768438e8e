package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"
)

// Validation is the result of policy validate for one directory.
type Validation struct {
	Dir         string             // as the user named it; formats for programs put it before the names of files
	Place       string             // the directory in which people find the files; empty: there is none
	Version     string             // of this program
	Generation  *engine.Generation // nil when the directory could not be loaded
	Refused     *engine.Refused    // why it could not be loaded; nil when it was
	HasSchema   bool               // the data was compared with the schema of the default pack
	Diagnostics diagnostic.List
	Ignored     source.Ignored  // files that look like policy or data and are not loaded: no problems
	Warnings    []string        // about the whole policy: no problems
	Strict      diagnostic.List // what opa check --strict would refuse: no problems either
}

// OK reports whether the directory was loaded and no problem was found.
func (v Validation) OK() bool { return v.Generation != nil && len(v.Diagnostics) == 0 }

// formats are the formats of a Validation, in the order in which help texts name them.
var formats = formatsOf[Validation]{
	{"pretty", writePretty}, {"line", writeLines}, {"json", writeJSON}, {"sarif", writeSARIF}, {"github", writeGitHub},
}

// Formats lists the names of the formats that [Validation.Write] supports.
func Formats() []string { return formats.names() }

// Write writes v in one of the [Formats].
func (v Validation) Write(w io.Writer, format string) error { return formats.write(w, v, format) }

func writePretty(w io.Writer, v Validation) error {
	place := PlaceIn(v.Place)
	for _, f := range v.Ignored.Files {
		terminal.Fprintf(w, "%s %s: %s\n", terminal.Look.Of("not loaded:"), place(f.Path), f.Reason)
	}
	if more := v.Ignored.More; more > 0 {
		terminal.Fprintf(w, "%s %s\n", terminal.Look.Of("not loaded:"), terminal.Count(more, "more file"))
	}
	for _, warning := range v.Warnings {
		terminal.Fprintf(w, "%s %s\n", terminal.Look.Of("warning:"), warning)
	}
	WriteWarnings(w, Placed(v.Strict, place))
	if len(v.Strict) > 0 {
		terminal.Fprintf(w, "\n")
	}
	if !v.OK() {
		Write(w, Placed(v.Diagnostics, place))
		return nil
	}
	modules, dataFiles := v.Generation.Counts()
	schema := ""
	if v.HasSchema {
		schema = "data.json schema: OK\n"
	}
	_, err := terminal.Fprintf(w, "%s\n%s%s, %s, revision %s\n", terminal.Good.Of("All Rego modules compiled successfully."),
		terminal.Text(schema), terminal.Count(modules, "module"), terminal.Count(dataFiles, "data file"), v.Generation.Revision())
	return err
}

func writeLines(w io.Writer, v Validation) error {
	Lines(w, v.Dir, v.Diagnostics)
	lines(w, v.Dir, "warning: ", v.Strict)
	return nil
}

// problem is a diagnostic as JSON; api.Diagnostic has the same members.
type problem struct {
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Column  int      `json:"column"`
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Details []string `json:"details,omitempty"`
	Hint    string   `json:"hint,omitempty"`
	Text    string   `json:"text"`
}

func problemsOf(ds diagnostic.List) []problem {
	problems := make([]problem, len(ds))
	for i, d := range ds {
		problems[i] = problem(d)
	}
	return problems
}

func writeJSON(w io.Writer, v Validation) error {
	problems := problemsOf(v.Diagnostics) // never null
	ignored := make([]map[string]string, len(v.Ignored.Files))
	for i, f := range v.Ignored.Files {
		ignored[i] = map[string]string{"file": f.Path, "reason": f.Reason}
	}
	answer := map[string]any{"ok": v.OK(), "diagnostics": problems, "not_loaded": ignored}
	if v.Generation != nil {
		answer["modules"], answer["data_files"] = v.Generation.Counts()
		answer["revision"] = v.Generation.Revision()
	}
	if len(v.Warnings) > 0 {
		answer["warnings"] = v.Warnings
	}
	if len(v.Strict) > 0 {
		answer["strict"] = problemsOf(v.Strict)
	}
	if v.Refused != nil {
		answer["error"] = v.Refused.Error()
	}
	return JSON(w, answer)
}

// writeGitHub writes workflow commands, which GitHub shows as annotations of a pull request.
func writeGitHub(w io.Writer, v Validation) error {
	var lines strings.Builder
	annotate(&lines, "error", v.Dir, v.Diagnostics)
	annotate(&lines, "warning", v.Dir, v.Strict)
	for _, f := range v.Ignored.Files {
		terminal.Fprintf(&lines, "::warning file=%s,title=not loaded::%s\n",
			commandProperty.Replace(filepath.ToSlash(filepath.Join(v.Dir, f.Path))), commandText.Replace(f.Reason))
	}
	for _, warning := range v.Warnings {
		terminal.Fprintf(&lines, "::warning title=policy::%s\n", commandText.Replace(warning))
	}
	return writeCommands(w, lines.String())
}

func annotate(lines *strings.Builder, kind, dir string, ds diagnostic.List) {
	for _, d := range ds {
		place := "file=" + commandProperty.Replace(filepath.ToSlash(filepath.Join(dir, d.File)))
		if d.Line > 0 {
			place += fmt.Sprintf(",line=%d", d.Line)
		}
		if d.Column > 0 {
			place += fmt.Sprintf(",col=%d", d.Column)
		}
		if end := endColumn(d); end > 0 {
			place += fmt.Sprintf(",endColumn=%d", end-1)
		}
		message := strings.Join(messageLines(d), "\n")
		terminal.Fprintf(lines, "::%s %s,title=%s::%s\n", terminal.Text(kind), place, commandProperty.Replace(d.Code), commandText.Replace(message))
	}
}

// What a workflow command must not hold in its text and in its properties.
var (
	commandText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// writeCommands writes workflow commands to a writer that keeps other texts from being one.
func writeCommands(w io.Writer, lines string) error {
	if t, ok := w.(*terminal.Writer); ok {
		return t.Commands(lines)
	}
	_, err := io.WriteString(w, lines)
	return err
}
