package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine/diagnostic"
)

// exitPart is the exit code of policy status where the policy serves as it should, and another part of the sidecar does not work.
const exitPart = 4

// statusCode is the exit code of a status: that of the worst part.
func statusCode(s api.StatusAnswer) int {
	from, c := s.Source, s.Control
	switch {
	case s.State == "empty":
		return exitFailure
	case s.State == "stale", s.State == "restored", from != nil && from.Stale != nil && from.Stale.Now, c != nil && (c.Revision != "" || c.Digest != ""):
		return exitStale
	case len(ailing(s, time.Now())) > 0:
		return exitPart
	default:
		return 0
	}
}

// ailing says in a few words each which parts do not work while the policy serves.
func ailing(s api.StatusAnswer, now time.Time) (all []string) {
	switch a := s.Audit; {
	case a == nil:
	case !a.OK:
		all = append(all, "the audit log is not written")
	case a.Alarm != "":
		all = append(all, "the audit log has an alarm")
	}
	if s.Settings != nil && s.Settings.State == api.SettingsRefused {
		all = append(all, "config.yaml is refused since "+at(s.Settings.Since))
	}
	if s.LastGood != nil && s.LastGood.Error != "" {
		all = append(all, "the last good policy is not kept for the next start")
	}
	for _, part := range s.Tell(now) {
		if part.Level == api.PartWrong {
			all = append(all, strings.ToLower(part.Name[:1])+part.Name[1:]+": "+part.Text)
		}
	}
	return all
}

// verdict is the first line of a status: what decides, since when, and what is wrong.
func verdict(s api.StatusAnswer, told diagnostic.List, now time.Time) string {
	since := sinceThen(s.StateSince, now)
	var text string
	switch code := statusCode(s); {
	case code == exitFailure:
		return "WRONG: nothing decides" + since + because(s, told)
	case s.State == "stale", s.State == "restored":
		text = "LOOK: the last good policy decides, not what is on disk" + since + because(s, told)
	case code == exitStale:
		if c := s.Control; c != nil && c.Since != nil && c.Mode != "follow" { // the order, or the hold, is what keeps the newest one off
			since = sinceThen(*c.Since, now)
		}
		text = "LOOK: a policy decides that is not the newest one" + since
	case code == exitPart:
		return "WRONG: decisions are made, but " + strings.Join(ailing(s, now), "; ")
	default:
		return "WELL: decisions are made by " + whatDecides(s) + since
	}
	return strings.Join(slices.Concat([]string{text}, ailing(s, now)), "; ")
}

// sinceThen is nothing where the time is not known.
func sinceThen(then, now time.Time) string {
	if then.IsZero() {
		return ""
	}
	return fmt.Sprintf(", since %s (%s)", at(then), roughly(now.Sub(then)))
}

func whatDecides(s api.StatusAnswer) string {
	switch {
	case s.State == "embedded":
		return "the default pack"
	case s.Source != nil:
		return "the policy of its source"
	default:
		return "the policy on disk"
	}
}

func because(s api.StatusAnswer, told diagnostic.List) string {
	switch first := report.FirstLine(s.LastReload.Error); {
	case first == "":
		return ""
	case len(told) > 0:
		return ": " + report.Line(told[0])
	default:
		return ": " + first
	}
}

func at(t time.Time) string { return t.Local().Format(time.DateTime) }

// roughly is a duration with the two units that matter.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < day:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d d %d h", int(d/day), int(d.Hours())%24)
	}
}
