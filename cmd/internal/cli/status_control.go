package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"defenseclaw/api"
)

// controlLine says what keeps the files from serving, since when and by whom, and what they would do; nothing while they
// are followed.
func controlLine(s api.StatusAnswer) string {
	c := s.Control
	if c == nil || c.Mode == "follow" {
		return staleText(c)
	}
	var parts []string
	switch c.Mode {
	case "held":
		what := "HELD, waits for policy approve " + c.Digest
		if c.Rejected {
			what = "HELD and rejected"
		}
		parts = append(parts, what)
	case "confirming":
		parts = append(parts, "CONFIRMING, goes back to "+shortRevision(c.Base)+" at "+c.Deadline.Local().Format(time.DateTime))
		if c.Revision != "" {
			parts[0] += ", and the files are not taken until policy resume"
		}
	default:
		parts = append(parts, "PINNED")
		if c.Revision == "" {
			parts[0] = "NOTHING MAY SERVE until policy resume"
		} else if c.Revision != s.Revision {
			parts[0] += " to " + shortRevision(c.Revision) + ", which cannot be loaded"
		}
	}
	if c.Since != nil {
		parts[0] += fmt.Sprintf(" since %s by %s", c.Since.Local().Format(time.DateTime), cmp.Or(c.Actor, "unknown"))
	}
	if c.Reason != "" {
		parts[0] += ": " + c.Reason
	}
	if text := staleText(c); text != "" {
		parts = append([]string{text}, parts...)
	}
	if text := diskText(c); text != "" {
		parts = append(parts, text)
	}
	if c.Error != "" {
		parts = append(parts, "A RESTART WOULD NOT KNOW OF IT: "+c.Error)
	}
	return strings.Join(parts, "; ")
}

// staleText says since when no decisions are made for want of sound files, or until when they are; nothing where they are sound.
func staleText(c *api.Control) string {
	switch {
	case c == nil || c.Stale == nil:
		return ""
	case c.Stale.Expired:
		return fmt.Sprintf("EXPIRED, decisions answer 503 since %s: the files are broken since %s; mend them, or policy rollback, or policy hold",
			c.Stale.Until.Local().Format(time.DateTime), c.Stale.Since.Local().Format(time.DateTime))
	default:
		return "what serves expires at " + c.Stale.Until.Local().Format(time.DateTime) + " unless the files are mended"
	}
}

func diskText(c *api.Control) string {
	d := c.Disk
	switch {
	case d == nil:
		return ""
	case d.State == "same":
		return "disk: the same"
	case d.State == "broken":
		return "disk: broken: " + d.Error
	}
	text := "disk: " + shortRevision(d.Revision) + " differs, sound"
	for _, r := range c.Refused {
		if r == d.Revision {
			text += ", taken back"
		}
	}
	return text
}

// shortRevision is the beginning of a revision, long enough to be given to a command.
func shortRevision(revision string) string {
	const length = len("sha256:") + 12
	return revision[:min(len(revision), length)]
}
