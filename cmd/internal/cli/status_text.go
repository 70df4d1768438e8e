package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"defenseclaw/api"
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

func watchLine(w api.Watch) string {
	text := w.State
	if w.Enabled {
		text = fmt.Sprintf("%s by %s, %s, %d events dropped", w.State, w.Mode, terminal.Count(w.Directories, "directory"), w.EventsDropped)
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

// staleActions say what is done while a source is stale.
var staleActions = map[string]string{"serve": "decisions are made", "unready": "not ready, and decisions are made", "refuse": "decisions answer 503"}

func sourceAge(s *api.Source) string {
	if s.AgeSeconds == nil {
		return "it has not answered since the start"
	}
	return fmt.Sprintf("it answered %.0f s ago, and %.0f s are allowed", *s.AgeSeconds, s.Stale.AfterSeconds)
}

// bundleLine is how it goes with one bundle; wrong is why its newest version does not serve.
type bundleLine struct{ text, wrong string }

func bundlesOf(s *api.Source) (lines []bundleLine) {
	for _, name := range slices.Sorted(maps.Keys(s.Bundles)) {
		b := s.Bundles[name]
		one := bundleLine{text: terminal.Sprintf("%s, etag %s", name, b.ETag)}
		if b.Revision != "" {
			one.text = terminal.Sprintf("%s, revision %s, etag %s", name, b.Revision, b.ETag)
		}
		if b.ContactSeconds == nil {
			one.text += ", no contact since the start"
		} else {
			one.text += fmt.Sprintf(", in contact %.0f s ago", *b.ContactSeconds)
		}
		if b.Error != "" {
			one.wrong = terminal.Sprintf("%s, not answered: %s", name, b.Error)
		}
		if b.Refused != "" {
			one.wrong = strings.TrimPrefix(one.wrong+"; "+terminal.Sprintf("%s, refused: %s", name, b.Refused), "; ")
		}
		lines = append(lines, one)
	}
	return lines
}
