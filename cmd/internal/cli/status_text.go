package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
)

// meanings explain the states.
var meanings = map[string]string{
	"current":  "the directory's policy serves",
	"stale":    "the directory is broken; the last good policy serves",
	"restored": "the directory is broken; the last good policy of an earlier run serves",
	"embedded": "the default pack in the program serves",
	"empty":    "no policy is loaded; decisions are answered with 503",
}

// meaningOf explains the state. It is that of the directory, which an order may keep from serving.
func meaningOf(s api.StatusAnswer) string {
	if c := s.Control; s.State == "current" && c != nil && c.Disk != nil && c.Disk.State == "differs" {
		if c.Mode == "held" && c.Rejected {
			return "the directory is sound, and was rejected"
		} else if c.Mode == "held" {
			return "the directory is sound, and waits for policy approve"
		}
		return "the directory is sound, and an order keeps it from serving"
	}
	if s.State == "stale" && refusals[s.LastReload.Stage] != "" {
		return refusals[s.LastReload.Stage] + "; the last good policy serves"
	}
	return meanings[s.State]
}

// refusals say what is wrong with files that are not broken, by the stage at which they were refused.
var refusals = map[string]string{
	"signature": "the directory is not what a trusted key signed",
	"check":     "the directory was refused by a check",
	"review":    "the change was refused by its review",
}

func printStatus(w io.Writer, _ string, s api.StatusAnswer) {
	line := func(name, format string, args ...any) {
		terminal.Fprintf(w, "%-12s %s\n", name, terminal.Sprintf(format, args...))
	}
	line("now", "%s", verdict(s, time.Now()))
	if text := controlLine(s); text != "" {
		line("control", "%s", text)
	}
	line("state", "%s: %s", s.State, meaningOf(s))
	if s.PolicyDir != "" {
		line("policy dir", "%s", s.RegoDir)
	}
	if s.Source != nil {
		printSource(line, s.Source)
	}
	if s.PolicyWhy != "" {
		line("chosen", "%s", s.PolicyWhy)
	}
	if s.LoadedAt != nil {
		line("generation", "%d, loaded %s, %s, %s",
			s.Generation, s.LoadedAt.Local().Format(time.DateTime), counted(s.Modules, "module"), counted(s.DataFiles, "data file"))
		line("revision", "%s", s.Revision)
		if s.Signature != nil {
			line("signed by", "%s", signatureLine(s.Signature))
		}
	}
	printLastReload(line, s.LastReload)
	line("watch", "%s", watchLine(s.Watch))
	for _, text := range settingsLines(s.Settings) {
		line("settings", "%s", text)
	}
	for _, text := range notLoadedLines(s) {
		line("not loaded", "%s", text)
	}
	for _, f := range s.Findings {
		line("finding", "%s", f.Message)
	}
	if s.Reviewer != nil && s.Reviewer.Fault != nil {
		f := s.Reviewer.Fault
		line("reviewer", "it ended at %s: %s", f.At.Local().Format(time.DateTime), f.Reason)
	}
	for _, text := range testLines(s.Tests) {
		line("tests", "%s", text)
	}
	for _, text := range s.Warnings {
		line("warning", "%s", text)
	}
	if s.Audit != nil && (!s.Audit.OK || s.Audit.Lost > 0 || s.Audit.Alarm != "") {
		line("audit", "%s", auditLine(s))
	}
	if s.LastGood != nil && s.LastGood.Error != "" {
		line("last good", "not kept for the next start: %s", s.LastGood.Error)
	}
	printParts(line, s)
	if s.LastReload.Error != "" {
		fmt.Fprintln(w)
		if len(s.LastReload.Diagnostics) == 0 {
			terminal.Fprintf(w, "%s\n", "error: "+s.LastReload.Error)
		}
		report.Write(w, received(s.LastReload.Diagnostics))
	}
}

// printParts shows those that ail.
func printParts(line func(name, format string, args ...any), s api.StatusAnswer) {
	for _, p := range s.Tell(time.Now()) {
		if p.Level != api.PartWell {
			line(strings.ToLower(p.Name), "%s", p.Text)
		}
	}
	if r := s.Recordings; r != nil && (r.Error != "" || r.Damaged != "") {
		line("recorder", "%s", cmp.Or(r.Error, r.Damaged))
	}
}

// testLines is nothing while no test fails that ran beside what serves.
func testLines(t *api.TestsStatus) (lines []string) {
	if t == nil {
		return nil
	}
	const maxShown = 10
	for _, f := range t.Failed[:min(maxShown, len(t.Failed))] {
		lines = append(lines, fmt.Sprintf("%s fails (%s:%d)", f.Name, f.File, f.Row))
	}
	if more := len(t.Failed) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more fail", more))
	}
	return append(lines, t.Incomplete...)
}

func printLastReload(line func(name, format string, args ...any), last api.LastReload) {
	if last.StartedAt == nil {
		return
	}
	line("last reload", "%s by %s at %s, %.1f ms", last.Status, causeOf(last), last.StartedAt.Local().Format(time.DateTime), last.DurationMS)
	if len(last.Changed) > 0 {
		line("files", "%s", api.EditText(last.Changed, last.Added, last.Gone))
	}
}

// causeOf is the trigger of a reload, and who is behind it.
func causeOf(last api.LastReload) string {
	if last.Actor == "" || last.Actor == last.Trigger {
		return last.Trigger
	}
	return last.Trigger + " (" + last.Actor + ")"
}

func notLoadedLines(s api.StatusAnswer) []string {
	const maxShown = 10
	var lines []string
	for _, f := range s.NotLoaded[:min(maxShown, len(s.NotLoaded))] {
		lines = append(lines, f.File+": "+f.Reason)
	}
	if more := len(s.NotLoaded) - len(lines) + s.MoreOfThem; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more files", more))
	}
	return lines
}

// settingsLines is nothing while all that config.yaml says is in force.
func settingsLines(s *api.SettingsStatus) (lines []string) {
	if s == nil {
		return nil
	}
	if s.State == api.SettingsRefused {
		lines = append(lines, "config.yaml is refused, and the settings before it stay in force: "+s.Error)
	}
	for _, key := range s.AfterRestart {
		lines = append(lines, "config.yaml: "+key+" changed; takes effect after a restart")
	}
	return lines
}

func watchLine(w api.Watch) string {
	text := w.State
	if w.Enabled {
		text = fmt.Sprintf("%s by %s, %d directories, %d events dropped", w.State, w.Mode, w.Directories, w.EventsDropped)
	}
	if w.Reason != "" {
		text += ": " + w.Reason
	}
	return text
}

func auditLine(s api.StatusAnswer) string {
	switch {
	case s.Audit == nil:
		return "off"
	case !s.Audit.OK:
		return fmt.Sprintf("NOT WRITTEN, %d records wait, %d are lost: %s", s.Audit.Backlog, s.Audit.Lost, s.Audit.Error)
	case s.Audit.Alarm != "":
		return fmt.Sprintf("ALARM: %s", s.Audit.Alarm)
	case s.Audit.Lost > 0:
		return fmt.Sprintf("written, but %d records were lost since the start", s.Audit.Lost)
	}
	return fmt.Sprintf("written, %d records since the start", s.Audit.Written)
}

// printSource shows where policy comes from, and how it goes with each bundle.
// staleActions say what is done while a source is stale.
var staleActions = map[string]string{"serve": "decisions are made", "unready": "not ready, and decisions are made", "refuse": "decisions answer 503"}

func sourceAge(s *api.Source) string {
	if s.AgeSeconds == nil {
		return "it has not answered since the start"
	}
	return fmt.Sprintf("it answered %.0f s ago, and %.0f s are allowed", *s.AgeSeconds, s.Stale.AfterSeconds)
}

func printSource(line func(name, format string, args ...any), s *api.Source) {
	if stale := s.Stale; stale != nil && stale.Now {
		line("source", "STALE, %s: %s", staleActions[stale.Action], sourceAge(s))
	}
	line("source", "%s", s.URL)
	for _, name := range slices.Sorted(maps.Keys(s.Bundles)) {
		b := s.Bundles[name]
		text := terminal.Sprintf("%s, etag %s", name, b.ETag)
		if b.Revision != "" {
			text = terminal.Sprintf("%s, revision %s, etag %s", name, b.Revision, b.ETag)
		}
		if b.ContactSeconds == nil {
			text += ", no contact since the start"
		} else {
			text += fmt.Sprintf(", in contact %.0f s ago", *b.ContactSeconds)
		}
		line("bundle", "%s", text)
		if b.Error != "" {
			line("", "not answered: %s", b.Error)
		}
		if b.Refused != "" {
			line("", "refused: %s", b.Refused)
		}
	}
}
