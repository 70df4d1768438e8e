package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/terminal"
)

// marks stand before what differs.
var marks = map[string]string{"added": "+", "removed": "-", "changed": "~", "moved": ">"}

// printStat shows which files and packages differ, and how many rules and places of data.
func printStat(w io.Writer, r *api.Review) {
	line := func(format string, args ...any) { terminal.Fprintf(w, "%s\n", terminal.Sprintf(format, args...)) }
	line("%s → %s", sideText(*r.Base), sideText(r.Candidate))
	if r.Same {
		line("no difference")
		return
	}
	for _, f := range r.Files {
		line("%s %-40s +%d -%d", marks[f.Change], f.Path, f.Added, f.Removed)
	}
	for _, p := range []struct {
		what  string
		names []string
	}{{"added", r.Packages.Added}, {"removed", r.Packages.Removed}, {"changed", r.Packages.Changed}, {"affected", r.Packages.Affected}} {
		if len(p.names) > 0 {
			line("packages %s: %s", p.what, someOf(p.names))
		}
	}
	counts := map[string]int{}
	for _, rule := range r.Rules {
		counts[rule.Change]++
	}
	line("%s added, %d removed, %d changed, %d moved; %s; %s of data, %d → %d values",
		terminal.Count(counts["added"], "rule"), counts["removed"], counts["changed"], counts["moved"],
		terminal.Count(len(r.Defaults), "default"), terminal.Count(len(r.Data), "place"), r.DataSize.Before, r.DataSize.After)
}

func sideText(s api.ReviewSide) string {
	const digits = len("sha256:") + 12
	return strings.TrimSpace(s.Name + " " + s.Revision[:min(len(s.Revision), digits)])
}

func someOf(names []string) string {
	const most = 20
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// printRules shows what differs in meaning.
func printRules(w io.Writer, r *api.Review) {
	line := func(format string, args ...any) { terminal.Fprintf(w, "%s\n", terminal.Sprintf(format, args...)) }
	text := func(style terminal.Style, mark, text string) {
		for l := range strings.Lines(text) {
			terminal.Fprintf(w, "%s\n", style.Line("    "+mark+strings.ReplaceAll(strings.TrimRight(l, "\r\n"), "\t", "    ")))
		}
	}
	before := func(was string) { text(terminal.Bad, "- ", was) }
	after := func(is string) { text(terminal.Good, "+ ", is) }
	for _, d := range r.Defaults {
		line("default %s: %s → %s", d.Path, valueText(d.Before), valueText(d.After))
	}
	for _, rule := range r.Rules {
		if rule.Change == "moved" {
			line("> %s, clause %d, moved from %s to %s:%d", rule.Path, rule.Clause, rule.From, rule.File, rule.Row)
			continue
		}
		line("%s %s, clause %d, %s:%d", marks[rule.Change], rule.Path, rule.Clause, rule.File, rule.Row)
		before(rule.Before)
		after(rule.After)
	}
	for _, d := range r.Data {
		line("%s %s, %d → %d values", marks[d.Change], d.Path, d.Leaves.Before, d.Leaves.After)
		if d.Elements == nil {
			before(string(d.Before))
			after(string(d.After))
			continue
		}
		for _, e := range d.Elements.Removed {
			before(string(e))
		}
		for _, e := range d.Elements.Added {
			after(string(e))
		}
	}
	names := func(what string, all []string) {
		if len(all) > 0 {
			line("%s: %s", what, strings.Join(all, ", "))
		}
	}
	names("builtins called now and not before", r.Builtins.Added)
	names("entry points added", r.EntryPoints.Added)
	names("entry points removed", r.EntryPoints.Removed)
	if r.Tests != nil {
		names("tests added", r.Tests.Added)
		names("tests removed", r.Tests.Removed)
	}
}

func valueText(v json.RawMessage) string {
	if v == nil {
		return "none"
	}
	return string(v)
}
