package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
)

// maxStatusLines is how long a status is that somebody has not asked to be complete.
const maxStatusLines = 10

// rank orders the lines of a status: the lower, the later a line is left out.
type rank int

const (
	always rank = iota // what decides, and what keeps the files from deciding
	wrong              // it does not work
	look               // a person should look at it
	fact               // how things are
	detail             // what only some want to know
)

// rankStyles are the styles of their names, by rank.
var rankStyles = [...]terminal.Style{always: terminal.Strong, wrong: terminal.Bad, look: terminal.Look, fact: terminal.Plain, detail: terminal.Plain}

// statusLine is one line of a status.
type statusLine struct {
	name, text string
	rank       rank
	again      bool // it is of the same kind as the line before it
	more       int  // lines of the same kind that are left out
}

// statusLines are those of a status, the worst first. verbose: all of them; else there are at most maxStatusLines.
type statusLines struct {
	verbose bool
	all     []statusLine
}

func (l *statusLines) add(r rank, name, format string, args ...any) {
	l.all = append(l.all, statusLine{name: name, text: terminal.Sprintf(format, args...), rank: r})
}

// several adds lines of one kind. Where there is no room for all of them, the first says how many more there are.
func (l *statusLines) several(r rank, name string, texts []string) {
	for i, text := range texts {
		l.add(r, name, "%s", text)
		l.all[len(l.all)-1].again = i > 0
	}
}

// fitted are the lines to print: the worst first, and within the limit. What is left out is said in the last one.
func (l *statusLines) fitted() []statusLine {
	lines := slices.Clone(l.all)
	slices.SortStableFunc(lines, func(a, b statusLine) int { return int(min(a.rank, fact)) - int(min(b.rank, fact)) })
	const room = maxStatusLines - 1 // beside the first line
	if l.verbose || len(lines) <= room {
		return lines
	}
	all := len(lines)
	for i := len(lines) - 1; i > 0 && len(lines) > room-1; i-- {
		if lines[i].rank == detail {
			lines = slices.Delete(lines, i, i+1)
		}
	}
	for i := len(lines) - 1; i > 0 && len(lines) > room-1; i-- {
		if lines[i].again {
			lines[i-1].more += lines[i].more + 1
			lines = slices.Delete(lines, i, i+1)
		}
	}
	for len(lines) > room-1 {
		last := 0
		for i, one := range lines {
			if one.rank >= lines[last].rank {
				last = i
			}
		}
		lines = slices.Delete(lines, last, last+1)
	}
	left := all - len(lines)
	return append(lines, statusLine{name: "more", text: terminal.Count(left, "line") + ": policy status --verbose", rank: detail})
}

// printStatus prints a status for people. The first line says whether all is well, and what is not.
func printStatus(w io.Writer, s api.StatusAnswer, verbose bool) {
	lines := statusLines{verbose: verbose}
	told := toldIn(directoryOf(s), received(s.LastReload.Diagnostics))
	if text := controlLine(s); text != "" {
		lines.add(always, "control", "%s", text)
	}
	if !verbose {
		var problems []string
		for _, d := range told[min(1, len(told)):] { // the first one is in the line of now
			problems = append(problems, report.Line(d))
		}
		lines.several(wrong, "problem", problems)
	}
	lines.troubles(s)
	lines.facts(s)
	sayVerdict(w, "now", 12, verdict(s, told, time.Now()))
	for _, one := range lines.fitted() {
		if one.more > 0 {
			one.text += fmt.Sprintf(" (and %d more)", one.more)
		}
		name := terminal.Sprintf("%-12s", one.name)
		terminal.Fprintf(w, "%s %s\n", rankStyles[one.rank].Line(name), one.text)
	}
	if verbose && s.LastReload.Error != "" {
		fmt.Fprintln(w)
		if len(told) == 0 {
			terminal.Fprintf(w, "%s\n", "error: "+s.LastReload.Error)
		}
		report.Write(w, told)
	}
}

// sayVerdict prints the first line of a status, whose first word has the colour of what it says.
func sayVerdict(w io.Writer, name string, width int, text string) {
	word, rest, _ := strings.Cut(text, ":")
	style := map[string]terminal.Style{"WELL": terminal.Good, "LOOK": terminal.Look, "WRONG": terminal.Alarm}[word]
	terminal.Fprintf(w, "%-*s %s%s\n", width, name, style.Line(word), ":"+rest)
}

// troubles are the lines of what does not work, or needs a look.
func (l *statusLines) troubles(s api.StatusAnswer) {
	if s.Source != nil && s.Source.Stale != nil && s.Source.Stale.Now {
		l.add(wrong, "source", "STALE, %s: %s", staleActions[s.Source.Stale.Action], sourceAge(s.Source))
	}
	if s.Audit != nil && (!s.Audit.OK || s.Audit.Lost > 0 || s.Audit.Alarm != "") {
		l.add(wrong, "audit", "%s", auditLine(s))
	}
	if s.Settings != nil && s.Settings.State == api.SettingsRefused {
		l.add(wrong, "settings", "config.yaml is refused, and the settings before it stay in force: %s", s.Settings.Error)
	}
	if s.LastGood != nil && s.LastGood.Error != "" {
		l.add(wrong, "last good", "not kept for the next start: %s", s.LastGood.Error)
	}
	for _, p := range s.Tell(time.Now()) {
		switch p.Level {
		case api.PartWrong:
			l.add(wrong, strings.ToLower(p.Name), "%s", p.Text)
		case api.PartLook:
			l.add(look, strings.ToLower(p.Name), "%s", p.Text)
		}
	}
	if s.Reviewer != nil && s.Reviewer.Fault != nil {
		f := s.Reviewer.Fault
		l.add(look, "reviewer", "it ended at %s: %s", at(f.At), f.Reason)
	}
	var findings []string
	for _, f := range s.Findings {
		findings = append(findings, f.Message)
	}
	l.several(look, "finding", findings)
	l.several(look, "tests", testLines(s.Tests))
	if s.Settings != nil {
		var keys []string
		for _, key := range s.Settings.AfterRestart {
			keys = append(keys, "config.yaml: "+key+" changed; takes effect after a restart")
		}
		l.several(look, "settings", keys)
	}
	if r := s.Recordings; r != nil && (r.Error != "" || r.Damaged != "") {
		l.add(look, "recorder", "%s", cmp.Or(r.Error, r.Damaged))
	}
	l.several(look, "not loaded", notLoadedLines(s))
	l.several(look, "warning", s.Warnings)
}

// facts are the lines of how things are.
func (l *statusLines) facts(s api.StatusAnswer) {
	l.add(always, "state", "%s: %s", s.State, meaningOf(s))
	if s.PolicyDir != "" {
		l.add(fact, "policy dir", "%s", s.RegoDir)
	}
	if s.Source != nil {
		l.source(s.Source)
	}
	if s.PolicyWhy != "" {
		l.add(detail, "chosen", "%s", s.PolicyWhy)
	}
	if s.LoadedAt != nil {
		l.add(fact, "generation", "%d, loaded %s, %s, %s", s.Generation, at(*s.LoadedAt),
			terminal.Count(s.Modules, "module"), terminal.Count(s.DataFiles, "data file"))
		l.add(fact, "revision", "%s", s.Revision)
		if s.Signature != nil {
			l.add(fact, "signed by", "%s", signatureLine(s.Signature))
		}
	}
	if last := s.LastReload; last.StartedAt != nil {
		l.add(fact, "last reload", "%s by %s at %s, %.1f ms", last.Status, causeOf(last), at(*last.StartedAt), last.DurationMS)
		if len(last.Changed) > 0 {
			l.add(detail, "files", "%s", api.EditText(last.Changed, last.Added, last.Gone))
		}
	}
	l.add(fact, "watch", "%s", watchLine(s.Watch))
}

// source is where policy comes from, and how it goes with each bundle.
func (l *statusLines) source(s *api.Source) {
	l.add(fact, "source", "%s", s.URL)
	for _, b := range bundlesOf(s) {
		l.add(fact, "bundle", "%s", b.text)
		if b.wrong != "" {
			l.add(look, "bundle", "%s", b.wrong)
		}
	}
}
