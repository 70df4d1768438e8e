package dev

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// View draws the whole terminal: what is watched, how it is, a rule, the body, a rule, and the keys.
func (s *screen) View() string {
	if s.width == 0 {
		return ""
	}
	head, body, foot := s.head(), s.body(), s.foot()
	room := s.roomBeside(len(foot))
	lines := append(head, s.rule())
	lines = append(lines, body[min(s.top, len(body)):min(s.top+room, len(body))]...)
	for len(lines) < len(head)+1+room {
		lines = append(lines, "")
	}
	lines = append(append(lines, s.rule()), foot...)
	return strings.Join(lines[:min(len(lines), max(1, s.height))], "\n")
}

// last is the last state, for the terminal that stays: all of it, without the keys.
func (s *screen) last() string {
	if s.round == nil || s.width == 0 {
		return ""
	}
	s.mode, s.busy = watching, false
	return strings.Join(append(s.head(), s.body()...), "\n") + "\n"
}

// room is how many lines of the body there are: what the rest leaves.
func (s *screen) room() int { return s.roomBeside(len(s.foot())) }

// roomBeside is the room where the foot has that many lines.
func (s *screen) roomBeside(foot int) int { return max(1, s.height-len(s.head())-foot-2) }

func (s *screen) rule() string { return s.paint.quiet(strings.Repeat("─", s.width)) }

// head is what is watched, and how it is.
func (s *screen) head() []string {
	title := s.paint.strong("policy dev") + "  " + line(s.loop.cfg.Dir)
	if s.note != "" {
		title += "  " + s.paint.quiet(s.note)
	}
	state := s.paint.quiet("… running")
	if s.round != nil && !s.busy {
		state = s.paint.headline(s.round)
		if len(s.round.Changed) > 0 {
			state += "  " + s.paint.quiet("after "+s.paint.named(s.round.Changed))
		}
	}
	return s.wrapped(title, state)
}

// foot is what keys can be pressed now, and what the last one came to.
func (s *screen) foot() []string {
	var lines []string
	if s.said != "" {
		lines = append(lines, s.paint.strong(s.said))
	}
	switch s.mode {
	case filtering:
		lines = append(lines, s.paint.strong("run tests that match: ")+line(string(s.typed))+"▏", s.paint.quiet("Enter run · Esc leave it · empty: all"))
	case asking:
		lines = append(lines, s.paint.strong("write this as what is expected? ")+"y yes · any other key no")
	case helping:
		lines = append(lines, s.paint.quiet("any key: back"))
	default:
		lines = append(lines, s.paint.quiet(s.keys()))
	}
	return s.wrapped(lines...)
}

// keys names those that do something now; on a small terminal only how to learn of the others.
func (s *screen) keys() string {
	var keys []string
	add := func(when bool, text string) {
		if when {
			keys = append(keys, strings.ReplaceAll(text, " ", together))
		}
	}
	const small = 12 // lines
	wide := s.height >= small
	more := len(s.lines()) - s.roomBeside(1)
	add(wide && (s.scope.Only != nil || s.round != nil && len(s.round.Failing) > 0), "f failed only")
	add(wide, "t filter")
	add(wide, "a all tests")
	add(wide, "Enter again")
	add(wide && s.round != nil && len(s.round.acceptable()) > 0, "u accept")
	add(true, "? help")
	add(true, "q quit")
	add(more > 0 && s.top < more, "↑↓ more")
	add(more > 0 && s.top >= more, "↑↓ end")
	return strings.Join(keys, " · ")
}

// body returns the lines between the rules.
func (s *screen) body() []string {
	switch s.mode {
	case helping:
		var lines []string
		for _, k := range keyHelp {
			lines = append(lines, s.paint.strong(k[0]), "    "+k[1])
		}
		return s.wrapped(lines...)
	case asking:
		var lines []string
		for _, d := range s.ask {
			lines = append(lines, s.paint.offered(d)...)
		}
		return s.wrapped(lines...)
	}
	return s.lines()
}

// lines are those of the round.
func (s *screen) lines() []string {
	if s.round == nil {
		return nil
	}
	return s.wrapped(s.paint.body(s.round)...)
}

// What stands for a hyphen and for a space where no line ends while lines are folded.
const unbroken, together = "\ue000", "\u00a0"

var whole = strings.NewReplacer(unbroken, "-", together, " ")

// wrapped folds lines that are wider than the terminal, between words where that is possible: a name that is whole can be clicked.
func (s *screen) wrapped(lines ...string) (folded []string) {
	for _, text := range lines {
		for line := range strings.SplitSeq(text, "\n") {
			if ansi.StringWidth(line) <= s.width {
				folded = append(folded, whole.Replace(line))
				continue
			}
			text := ansi.Wrap(strings.ReplaceAll(line, "-", unbroken), max(1, s.width), "")
			parts := strings.Split(whole.Replace(text), "\n")
			if strings.TrimSpace(parts[0]) == "" {
				parts = parts[1:] // an indent that leaves too little room for a name
			}
			folded = append(folded, parts...)
		}
	}
	return folded
}
