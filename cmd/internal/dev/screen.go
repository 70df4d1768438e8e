package dev

import (
	"context"
	"errors"
	"io"
	"strings"

	_ "defenseclaw/cmd/internal/earlyterminal" // before Bubble Tea, which would ask the terminal at each start

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sync/errgroup"
)

// Screen runs the loop on the whole terminal until q is pressed or ctx ends. note is shown after the name
// of the directory, for example the address of a sidecar; it may be empty.
func Screen(ctx context.Context, l *Loop, in io.Reader, out io.Writer, note string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	program := tea.NewProgram(&screen{loop: l, note: note, paint: colours(lipgloss.NewRenderer(out)), busy: true},
		tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithAltScreen(), tea.WithoutSignalHandler())
	var group errgroup.Group
	group.Go(func() error {
		err := l.Run(ctx, func() { program.Send(busy{}) }, func(r Round) { program.Send(r) })
		program.Quit()
		return err
	})
	_, err := program.Run()
	interrupted := ctx.Err() != nil
	cancel()
	if errors.Is(err, tea.ErrProgramKilled) && interrupted {
		err = nil
	}
	return errors.Join(err, group.Wait())
}

type busy struct{}

// screen is the model of bubbletea. One goroutine owns it.
type screen struct {
	loop   *Loop
	note   string
	paint  paint
	width  int
	height int

	round *Round // nil before the first round
	busy  bool
	top   int // the first line of the body that is shown
}

func (s *screen) Init() tea.Cmd { return nil }

func (s *screen) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch m := message.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case busy:
		s.busy = true
	case Round:
		if !m.Again {
			s.top = 0
		}
		s.round, s.busy = &m, false
	case tea.KeyMsg:
		switch m.String() {
		case "q", "ctrl+c", "esc":
			return s, tea.Quit
		case "a":
			s.busy = true
			s.loop.All()
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
		}
	}
	s.top = max(0, min(s.top, len(s.body())-s.room()))
	return s, nil
}

// frameLines is how many lines are not the body's: two of the head, two rules and the keys.
const frameLines = 5

func (s *screen) room() int { return max(1, s.height-frameLines) }

// body returns the lines of the round, wrapped to the width.
func (s *screen) body() []string {
	if s.round == nil {
		return nil
	}
	text := strings.Join(s.paint.body(s.round), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(ansi.Hardwrap(text, max(1, s.width), true), "\n")
}

func (s *screen) View() string {
	if s.width == 0 {
		return ""
	}
	title := s.paint.strong("policy dev") + "  " + line(s.loop.cfg.Dir)
	if s.note != "" {
		title += "  " + s.paint.quiet(s.note)
	}
	state := s.paint.quiet("… running")
	if s.round != nil && !s.busy {
		state = s.paint.headline(s.round)
		if len(s.round.Changed) > 0 {
			state += "  " + s.paint.quiet("after "+changed(s.round.Changed))
		}
	}
	rule := s.paint.quiet(strings.Repeat("─", s.width))
	body := s.body()
	shown := body[min(s.top, len(body)):min(s.top+s.room(), len(body))]
	lines := append([]string{title, state, rule}, shown...)
	for len(lines) < s.height-2 {
		lines = append(lines, "")
	}
	keys := "a all tests · ↑↓ scroll · q quit"
	if hidden := len(body) - s.room(); hidden > 0 {
		keys += s.more(hidden)
	}
	lines = append(lines, rule, s.paint.quiet(keys))
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, s.width, "…")
	}
	return strings.Join(lines, "\n")
}

func (s *screen) more(hidden int) string {
	if s.top >= hidden {
		return " · end"
	}
	return " · more below"
}
