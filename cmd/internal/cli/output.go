package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine"
)

// verdict is what validate found: a generation, or why there is none, and what is wrong.
type verdict struct {
	generation  *engine.Generation
	refused     *engine.Refused
	diagnostics []api.Diagnostic
}

func (v verdict) ok() bool { return v.generation != nil && len(v.diagnostics) == 0 }

var formats = map[string]func(io.Writer, string, verdict) error{
	"pretty": printPretty, "json": printJSON, "sarif": printSARIF, "github": printGitHub, "line": printLines,
}

func printPretty(w io.Writer, _ string, v verdict) error {
	if !v.ok() {
		report.Write(w, v.diagnostics)
		return nil
	}
	modules, dataFiles := v.generation.Counts()
	schema := ""
	if hasSchema(v.generation) {
		schema = "data.json schema: OK\n"
	}
	_, err := fmt.Fprintf(w, "All Rego modules compiled successfully.\n%s%d modules, %d data files, revision %s\n", schema, modules, dataFiles, v.generation.Revision())
	return err
}

func printLines(w io.Writer, dir string, v verdict) error {
	report.Lines(w, dir, v.diagnostics)
	return nil
}

func printJSON(w io.Writer, _ string, v verdict) error {
	answer := map[string]any{"ok": v.ok(), "diagnostics": append([]api.Diagnostic{}, v.diagnostics...)}
	if v.generation != nil {
		answer["modules"], answer["data_files"] = v.generation.Counts()
		answer["revision"] = v.generation.Revision()
	}
	if v.refused != nil {
		answer["error"] = v.refused.Error()
	}
	return indented(w, answer)
}

// explained is the message with what belongs to it, in lines.
func explained(d api.Diagnostic) []string {
	lines := append([]string{d.Message}, d.Details...)
	if d.Hint != "" {
		lines = append(lines, "hint: "+d.Hint)
	}
	return lines
}

// printGitHub prints workflow commands, which GitHub shows beside the lines of a change.
func printGitHub(w io.Writer, dir string, v verdict) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, d := range v.diagnostics {
		place := "file=" + property.Replace(filepath.ToSlash(filepath.Join(dir, d.File)))
		if d.Line > 0 {
			place += fmt.Sprintf(",line=%d", d.Line)
		}
		if d.Column > 0 {
			place += fmt.Sprintf(",col=%d", d.Column)
		}
		if end := report.End(d); end > 0 {
			place += fmt.Sprintf(",endColumn=%d", end-1)
		}
		message := strings.Join(explained(d), "\n")
		if _, err := fmt.Fprintf(w, "::error %s,title=%s::%s\n", place, property.Replace(d.Code), data.Replace(message)); err != nil {
			return err
		}
	}
	return nil
}

// drawProblems is for commands whose result is not the problems themselves.
func drawProblems(ds []api.Diagnostic) { report.Write(os.Stderr, ds) }

func indented(w io.Writer, v any) error {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(body))
	return err
}
