package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/review"
)

// Replay is the result of a replay, for printing.
type Replay struct {
	Dir     string // of the candidate, as the user named it; printers put it before the names of files. Empty: none
	Version string // of this program
	*review.Replay
}

var replayFormats = formatsOf[Replay]{
	{"pretty", writeReplay}, {"sarif", writeReplaySARIF}, {"github", writeReplayGitHub}, {"markdown", writeReplayMarkdown},
}

// ReplayFormats lists the names of the formats that [Replay.Write] supports.
func ReplayFormats() []string { return replayFormats.names() }

// Write writes r in one of the [ReplayFormats].
func (r Replay) Write(w io.Writer, format string) error { return replayFormats.write(w, r, format) }

// kindTexts say what a flip does.
var kindTexts = map[review.FlipKind]string{
	review.DenyToAllow: "deny to allow", review.AllowToDeny: "allow to deny", review.ToError: "answer to error",
	review.FromError: "error to answer", review.OtherFlip: "another answer",
}

var flipNames = map[review.FlipKind]string{
	review.DenyToAllow: "deny → allow", review.AllowToDeny: "allow → deny",
	review.ToError: "answer → error", review.FromError: "error → answer", review.OtherFlip: "differs",
}

// FlipName is a kind of flips in two words or one, for people.
func FlipName(kind review.FlipKind) string { return flipNames[kind] }

// coverage says how much was replayed.
func (r Replay) coverage() string {
	text := fmt.Sprintf("replayed %d of %d records", r.Replayed, r.Records)
	if r.Reached < r.Records {
		text += fmt.Sprintf("; the change can reach %d", r.Reached)
	}
	if r.StrataReplayed < r.Strata {
		text += fmt.Sprintf("; %d of %d kinds of decisions", r.StrataReplayed, r.Strata)
	}
	if len(r.NotReplayable) > 0 {
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(r.NotReplayable)) {
			reasons = append(reasons, fmt.Sprintf("%d %s", r.NotReplayable[reason], reason))
		}
		text += "; cannot be replayed: " + strings.Join(reasons, ", ")
	}
	return text
}

// verdict says how many decisions flip.
func (r Replay) verdict() string {
	if r.Total() == 0 {
		return "no decision flips"
	}
	var kinds []string
	for _, kind := range review.FlipKinds() {
		if n := r.Flips[kind]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", n, kindTexts[kind]))
		}
	}
	subject := fmt.Sprintf("%d decisions flip", r.Total())
	if r.Total() == 1 {
		subject = "1 decision flips"
	}
	return fmt.Sprintf("%s: %s; about %s of %d (%s to %s)", subject, strings.Join(kinds, ", "),
		percent(r.Share.Flips), r.Share.Of, percent(r.Share.Low), percent(r.Share.High))
}

func percent(part float64) string {
	const round = 10 // percent, from which a fraction says nothing
	if part*100 >= round {
		return fmt.Sprintf("%.0f %%", 100*part)
	}
	return fmt.Sprintf("%.2g %%", 100*part)
}

// what says what a group is: its kind, size, path and cause.
func what(g review.Group) string {
	return fmt.Sprintf("%s: %d of %s%s", kindTexts[g.Kind], g.Count, g.Path, causeText(g.Cause))
}

func causeText(c review.Cause) string {
	text := ""
	if c.Rule != "" {
		text = " by " + c.Rule
	}
	if c.File != "" {
		text += fmt.Sprintf(" (%s:%d)", c.File, c.Row)
	}
	if c.Data != "" {
		text += " because of " + c.Data
	}
	return text
}

// exampleText is one flip on a line, its input shortened.
func exampleText(f review.Flip) string {
	answer := func(value json.RawMessage, failure string) string {
		switch {
		case failure != "":
			return "error: " + FirstLine(failure)
		case value == nil:
			return "undefined"
		default:
			return shortened(string(value))
		}
	}
	input := "no input"
	if f.Input != nil {
		input = shortened(string(f.Input))
	}
	return fmt.Sprintf("%s: %s → %s", input, answer(f.Before, f.BeforeError), answer(f.After, f.AfterError))
}

func shortened(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	end := most
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

func writeReplay(w io.Writer, r Replay) error {
	terminal.Fprintf(w, "%s\n%s\n", r.coverage(), r.verdict())
	for _, g := range r.Groups {
		terminal.Fprintf(w, "\n%s\n", what(g))
		for _, f := range g.Examples {
			terminal.Fprintf(w, "    %s\n", exampleText(f))
		}
	}
	if len(r.Groups) > 0 && len(r.Unseen)+len(r.Slower) > 0 {
		terminal.Fprintf(w, "\n")
	}
	for _, clause := range r.Unseen {
		terminal.Fprintf(w, "held in no record: %s\n", clause)
	}
	for _, s := range r.Slower {
		terminal.Fprintf(w, "slower: %s takes %.1f times as long\n", s.Path, s.Factor)
	}
	return nil
}

// isGrave reports whether a kind is an error to code scanners, and not a warning.
func isGrave(kind review.FlipKind) bool { return kind == review.DenyToAllow || kind == review.ToError }

func (r Replay) message(g review.Group) string {
	format := "%d recorded decisions of %s are answered otherwise (%s)%s"
	if g.Count == 1 {
		format = "%d recorded decision of %s is answered otherwise (%s)%s"
	}
	lines := []string{fmt.Sprintf(format, g.Count, g.Path, kindTexts[g.Kind], causeText(g.Cause))}
	for _, f := range g.Examples {
		lines = append(lines, exampleText(f))
	}
	return strings.Join(lines, "\n")
}

func writeReplaySARIF(w io.Writer, r Replay) error {
	type object = map[string]any
	results, codes := []object{}, []string{}
	for _, g := range r.Groups {
		level := "warning"
		if isGrave(g.Kind) {
			level = "error"
		}
		result := object{"ruleId": string(g.Kind), "level": level, "message": object{"text": r.message(g)}}
		if g.Cause.File != "" {
			at := sarifPlace(r.Dir, diagnostic.Diagnostic{File: g.Cause.File, Line: g.Cause.Row})
			result["locations"] = []object{{"physicalLocation": at}}
		}
		results, codes = append(results, result), append(codes, string(g.Kind))
	}
	return writeRun(w, r.Version, results, codes)
}

func writeReplayGitHub(w io.Writer, r Replay) error {
	var lines strings.Builder
	for _, g := range r.Groups {
		command, place := "warning", ""
		if isGrave(g.Kind) {
			command = "error"
		}
		if g.Cause.File != "" {
			name := commandProperty.Replace(filepath.ToSlash(filepath.Join(r.Dir, g.Cause.File)))
			place = fmt.Sprintf("file=%s,line=%d,", name, g.Cause.Row)
		}
		terminal.Fprintf(&lines, "::%s %stitle=%s::%s\n", command, place, commandProperty.Replace(kindTexts[g.Kind]), commandText.Replace(r.message(g)))
	}
	terminal.Fprintf(&lines, "::notice title=replay::%s\n", commandText.Replace(r.coverage()+"; "+r.verdict()))
	return writeCommands(w, lines.String())
}

// writeReplayMarkdown writes what a workflow of GitHub shows as the summary of a job.
func writeReplayMarkdown(w io.Writer, r Replay) error {
	terminal.Fprintf(w, "### What this change does to recorded decisions\n\n%s.\n\n**%s.**\n", markdown(r.coverage()), markdown(r.verdict()))
	if len(r.Groups) > 0 {
		terminal.Fprintf(w, "\n| decisions | kind | path | cause | newest example |\n|---|---|---|---|---|\n")
	}
	for _, g := range r.Groups {
		example := ""
		if len(g.Examples) > 0 {
			example = exampleText(g.Examples[0])
		}
		terminal.Fprintf(w, "| %d | %s | %s | %s | %s |\n", g.Count, kindTexts[g.Kind], code(g.Path), code(strings.TrimSpace(causeText(g.Cause))), code(example))
	}
	if len(r.Unseen) > 0 {
		terminal.Fprintf(w, "\nClauses that held in no record: %s.\n", code(strings.Join(r.Unseen, ", ")))
	}
	for _, s := range r.Slower {
		terminal.Fprintf(w, "\n%s takes %.1f times as long.\n", code(s.Path), s.Factor)
	}
	return nil
}

// markdown keeps texts of others from being markup.
func markdown(text string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;", "&", "&amp;", "|", "\\|", "\n", " ", "`", "'", "*", "\\*", "_", "\\_", "[", "\\[").Replace(text)
}

// code is a text between backquotes, on one line and in one cell of a table.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.NewReplacer("`", "'", "|", "\\|", "\n", " ", "\r", " ").Replace(text) + "`"
}
