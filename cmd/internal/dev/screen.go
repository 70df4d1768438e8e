package dev

import (
	"context"
	"errors"
	"io"

	"defenseclaw/cmd/internal/terminal"

	_ "defenseclaw/cmd/internal/earlyterminal" // before Bubble Tea, which would ask the terminal at each start

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sync/errgroup"
)

// Screen runs the loop on the whole terminal until q is pressed or ctx ends, and leaves its last state below what the terminal
// showed before. note is shown after the name of the directory, for example the address of a sidecar; it may be empty.
func Screen(ctx context.Context, l *Loop, in io.Reader, out io.Writer, note string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &screen{loop: l, note: note, paint: paint{colours: terminal.Colours(out), place: l.place}, busy: true, scope: l.cfg.Scope}
	program := tea.NewProgram(s, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithAltScreen(), tea.WithoutSignalHandler())
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
	err = errors.Join(err, group.Wait()) // from here on, nothing else writes to the terminal
	_, written := io.WriteString(out, s.last())
	return errors.Join(err, written)
}

type busy struct{}

// accepted is what became of writing expected results.
type accepted struct {
	files int
	err   error
}

// mode is what the keys mean, and what the body shows.
type mode int

const (
	watching  mode = iota
	helping        // the keys are explained
	filtering      // a filter is typed
	asking         // whether to write what came out as what is expected
)

// screen is the model of bubbletea. One goroutine owns it.
type screen struct {
	loop   *Loop
	note   string
	paint  paint
	width  int
	height int

	round *Round // nil before the first round
	busy  bool
	mode  mode
	scope Scope
	typed []rune     // the filter, while it is typed
	ask   []Decision // to accept, as they were when the question was asked
	said  string     // in answer to the last key; empty: nothing
	top   int        // the first line of the body that is shown
}

func (s *screen) Init() tea.Cmd { return nil }

func (s *screen) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	var then tea.Cmd
	switch m := message.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case busy:
		s.busy = true
	case Round:
		if !m.Again && s.mode == watching {
			s.top = 0
		}
		s.round, s.busy = &m, false
	case accepted:
		if s.said = "wrote " + terminal.Count(m.files, "expected result"); m.err != nil {
			s.said = line(m.err.Error())
		}
	case tea.KeyMsg:
		then = s.key(m)
	}
	s.top = max(0, min(s.top, len(s.body())-s.room()))
	return s, then
}
