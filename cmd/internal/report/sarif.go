package report

import (
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"defenseclaw/engine/diagnostic"
)

// writeSARIF writes SARIF 2.1.0, the exchange format of code scanners.
func writeSARIF(w io.Writer, v Validation) error {
	type object = map[string]any
	results, codes := []object{}, []string{}
	add := func(level string, ds diagnostic.List) {
		for _, d := range ds {
			results = append(results, object{
				"ruleId": d.Code, "level": level, "message": object{"text": strings.Join(messageLines(d), "\n")},
				"locations": []object{{"physicalLocation": sarifPlace(v.Dir, d)}},
			})
			codes = append(codes, d.Code)
		}
	}
	add("error", v.Diagnostics)
	add("warning", v.Strict)
	for _, f := range v.Ignored.Files {
		const code = "not_loaded"
		results = append(results, object{
			"ruleId": code, "level": "note", "message": object{"text": "the file is not loaded: " + f.Reason},
			"locations": []object{{"physicalLocation": sarifPlace(v.Dir, diagnostic.Diagnostic{File: f.Path})}},
		})
		codes = append(codes, code)
	}
	for _, warning := range v.Warnings {
		const code = "policy_warning"
		results = append(results, object{"ruleId": code, "level": "note", "message": object{"text": warning}})
		codes = append(codes, code)
	}
	return writeRun(w, v.Version, results, codes)
}

// writeRun writes a log of one run. codes are those of its results, in any order.
func writeRun(w io.Writer, version string, results []map[string]any, codes []string) error {
	type object = map[string]any
	slices.Sort(codes)
	rules := []object{}
	for _, code := range slices.Compact(codes) {
		rules = append(rules, object{"id": code})
	}
	return JSON(w, object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []object{{
			"tool":       object{"driver": object{"name": "defenseclaw", "version": version, "rules": rules}},
			"columnKind": "unicodeCodePoints",
			"originalUriBaseIds": object{sourceRoot: object{
				"description": object{"text": "The directory in which the command ran."},
			}},
			"results": results,
		}},
	})
}

// sourceRoot is the name that code scanners have for the root of a repository.
const sourceRoot = "%SRCROOT%"

// artifact returns the URI of a file: relative to the working directory if the file is below it.
func artifact(dir, file string) map[string]any {
	name := filepath.Join(dir, file)
	if wd, err := os.Getwd(); err == nil && filepath.IsAbs(name) {
		if rel, err := filepath.Rel(wd, name); err == nil && filepath.IsLocal(rel) {
			name = rel
		}
	}
	if filepath.IsLocal(name) {
		return map[string]any{"uri": (&url.URL{Path: filepath.ToSlash(name)}).String(), "uriBaseId": sourceRoot}
	}
	if absolute, err := filepath.Abs(name); err == nil {
		name = filepath.ToSlash(absolute)
	}
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // a drive of Windows
	}
	return map[string]any{"uri": (&url.URL{Scheme: "file", Path: name}).String()}
}

func sarifPlace(dir string, d diagnostic.Diagnostic) map[string]any {
	place := map[string]any{"artifactLocation": artifact(dir, d.File)}
	if d.Line == 0 {
		return place
	}
	region := map[string]any{"startLine": d.Line}
	// Columns of diagnostics count bytes, those of SARIF count characters.
	characters := func(column int) int { return utf8.RuneCountInString(d.Text[:column-1]) + 1 }
	if d.Column > 0 && d.Column <= len(d.Text)+1 {
		region["startColumn"] = characters(d.Column)
		if end := endColumn(d); end > 0 {
			region["endColumn"] = characters(end)
		}
	}
	if d.Text != "" {
		region["snippet"] = map[string]any{"text": d.Text}
	}
	place["region"] = region
	return place
}
