package dev

import (
	"errors"
	"regexp"

	tea "github.com/charmbracelet/bubbletea"
)

// keyHelp explains the keys, in the order in which people need them.
var keyHelp = [][2]string{
	{"f", "run only the tests that fail now, until f is pressed again"},
	{"t", "run only tests whose name matches a regular expression, such as test_admin or ^data\\.app_test"},
	{"a", "run all tests, and leave out none from then on"},
	{"Enter, r", "run the tests of now once more"},
	{"u", "write what came out as what is expected of saved inputs; shows the changes, and asks, before it does"},
	{"↑ ↓ k j", "scroll by a line; Page Up, Page Down, b and Space by a page; g and Home to the top"},
	{"? h", "this help"},
	{"q Ctrl-C", "end; the last state stays on the terminal"},
}

// key does what a key says.
func (s *screen) key(m tea.KeyMsg) tea.Cmd {
	s.said = ""
	if m.String() == "ctrl+c" {
		return tea.Quit
	}
	switch s.mode {
	case filtering:
		s.typeFilter(m)
		return nil
	case asking:
		return s.answer(m.String())
	case helping:
		if !s.scroll(m.String()) {
			s.mode, s.top = watching, 0
		}
		return nil
	}
	switch m.String() {
	case "q", "esc":
		return tea.Quit
	case "a":
		s.run(Scope{})
	case "f":
		s.failedOnly()
	case "t", "/":
		s.mode, s.typed = filtering, nil
		if s.scope.Filter != nil {
			s.typed = []rune(s.scope.Filter.String())
		}
	case "enter", "r":
		s.run(s.scope)
	case "u":
		s.offer()
	case "?", "h":
		s.mode, s.top = helping, 0
	default:
		s.scroll(m.String())
	}
	return nil
}

// run has the tests of a scope run.
func (s *screen) run(scope Scope) {
	s.scope, s.busy = scope, true
	s.loop.Ask(scope)
}

// failedOnly turns to the tests that fail now, or back to all.
func (s *screen) failedOnly() {
	scope := s.scope
	if scope.Only != nil {
		scope.Only = nil
		s.run(scope)
		return
	}
	if s.round != nil {
		for _, f := range s.round.Failing {
			scope.Only = append(scope.Only, f.id)
		}
	}
	if scope.Only == nil {
		s.said = "no test fails"
		return
	}
	s.run(scope)
}

// typeFilter takes a key into the filter.
func (s *screen) typeFilter(m tea.KeyMsg) {
	switch m.Type {
	case tea.KeyEsc:
		s.mode = watching
	case tea.KeyEnter:
		s.filter()
	case tea.KeyBackspace:
		s.typed = s.typed[:max(0, len(s.typed)-1)]
	case tea.KeyCtrlU:
		s.typed = nil
	case tea.KeyRunes, tea.KeySpace:
		if !m.Alt {
			s.typed = append(s.typed, m.Runes...)
		}
	}
}

func (s *screen) filter() {
	scope := s.scope
	if scope.Filter = nil; len(s.typed) > 0 {
		var err error
		if scope.Filter, err = regexp.Compile(string(s.typed)); err != nil {
			s.said = line(err.Error())
			return
		}
	}
	s.mode = watching
	s.run(scope)
}

// offer asks whether what came out is what is expected.
func (s *screen) offer() {
	if s.round != nil && !s.busy {
		s.ask = s.round.acceptable()
	} else {
		s.ask = nil
	}
	if len(s.ask) == 0 {
		s.said = "nothing to accept: no saved input is decided otherwise than expected"
		return
	}
	s.mode, s.top = asking, 0
}

// answer takes the answer to the question of offer. Only y is yes.
func (s *screen) answer(key string) tea.Cmd {
	if s.scroll(key) {
		return nil
	}
	s.mode, s.top = watching, 0
	if key != "y" {
		s.said = "nothing was written"
		return nil
	}
	decisions, loop := s.ask, s.loop
	return func() tea.Msg {
		done := accepted{}
		for _, d := range decisions {
			if err := loop.Accept(d); err != nil {
				done.err = errors.Join(done.err, err)
			} else {
				done.files++
			}
		}
		return done
	}
}

// scroll moves the body if the key asks for that, and reports whether it does.
func (s *screen) scroll(key string) bool {
	switch key {
	case "down", "j":
		s.top++
	case "up", "k":
		s.top--
	case "pgdown", " ":
		s.top += s.room()
	case "pgup", "b":
		s.top -= s.room()
	case "home", "g":
		s.top = 0
	default:
		return false
	}
	return true
}
