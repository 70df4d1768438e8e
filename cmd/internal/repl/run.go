package repl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/source"
	"defenseclaw/watcher"

	"golang.org/x/term"
)

// Run reads lines from in, which may be a terminal, and writes to out, until the lines or ctx end. On a terminal it edits
// lines, completes them, and keeps those of before. A change of the policy directory is loaded between two lines.
func (s *Session) Run(ctx context.Context, in, out *os.File, w io.Writer) error {
	if !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return s.plain(ctx, in, w)
	}
	e, err := newEditor(s, in, out)
	if err != nil {
		return err
	}
	defer e.cooked() //nolint:errcheck // the terminal may be gone
	modules, data := s.base.Counts()
	fmt.Fprintf(e.t, "%s, %s. Tab completes; help lists the commands; Ctrl-D ends.\n", terminal.Count(modules, "module"), terminal.Count(data, "data file"))
	watched, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop()
	if s.cfg.Dir != "" {
		watch.Go(func() { s.watch(watched, terminal.NewWriter(e.t)) })
	}
	for ctx.Err() == nil {
		line, err := e.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if s.interruptible(ctx, e, line, w) {
			return nil
		}
	}
	return nil
}

// plain answers the lines of a pipe or a file.
func (s *Session) plain(ctx context.Context, in io.Reader, w io.Writer) error {
	lines, text := bufio.NewScanner(in), ""
	lines.Buffer(nil, 1<<20)
	for ctx.Err() == nil && lines.Scan() {
		if text += lines.Text(); open(text) {
			text += "\n"
			continue
		}
		if s.Line(ctx, text, w) {
			return nil
		}
		text = ""
	}
	if text != "" {
		s.Line(ctx, text, w)
	}
	return lines.Err()
}

// interruptible answers a line with the terminal as the shell left it, so that Ctrl-C ends the evaluation alone.
func (s *Session) interruptible(ctx context.Context, e *editor, line string, w io.Writer) (end bool) {
	if err := e.cooked(); err != nil {
		return true
	}
	defer e.raw() //nolint:errcheck // the next read tells
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	return s.Line(ctx, line, w)
}

// watch loads each change of the directory.
func (s *Session) watch(ctx context.Context, w io.Writer) {
	watching, err := watcher.New(watcher.Config{Root: s.cfg.Dir, Relevant: source.Relevant})
	if err != nil {
		terminal.Fprintf(w, "changes of the policy are not noticed: %s\n", terminal.Error(err))
		return
	}
	changes, ended := make(chan watcher.Change), make(chan error, 1)
	go func() { ended <- watching.Run(ctx, changes) }()
	for {
		select {
		case <-changes: // the first one arrives when the watch is set up
			s.Reload(ctx, w)
		case err := <-ended:
			if ctx.Err() == nil {
				terminal.Fprintf(w, "changes of the policy are not noticed any more: %s\n", terminal.Error(err))
			}
			return
		}
	}
}

// open reports whether a bracket or a string is open at the end of a text, so that the line goes on.
func open(text string) bool {
	depth, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote == '"' && c == '\\':
			i++
		case quote != 0:
			if c == quote || c == '\n' && quote == '"' {
				quote = 0
			}
		case c == '"' || c == '`':
			quote = c
		case c == '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		}
	}
	return depth > 0 || quote == '`'
}

// editor reads lines from a terminal.
type editor struct {
	s       *Session
	in, out *os.File
	before  *term.State // how the shell left it
	t       *term.Terminal
}

func newEditor(s *Session, in, out *os.File) (*editor, error) {
	e := &editor{s: s, in: in, out: out}
	if err := e.raw(); err != nil {
		return nil, err
	}
	e.t = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{&keys{in: in}, out}, "> ")
	e.t.AutoCompleteCallback = e.complete
	e.t.History = openHistory(s.cfg.History)
	return e, nil
}

func (e *editor) raw() (err error) {
	e.before, err = term.MakeRaw(int(e.in.Fd()))
	return err
}

func (e *editor) cooked() error { return term.Restore(int(e.in.Fd()), e.before) }

// read reads lines until no bracket is open.
func (e *editor) read() (text string, err error) {
	defer e.t.SetPrompt("> ")
	for {
		if width, height, err := term.GetSize(int(e.out.Fd())); err == nil {
			_ = e.t.SetSize(width, height) // it reports nothing of interest
		}
		line, err := e.t.ReadLine()
		if err != nil && !errors.Is(err, term.ErrPasteIndicator) {
			return "", err
		}
		if text += line; !open(text) || line == "" {
			return text, nil
		}
		text += "\n"
		e.t.SetPrompt("| ")
	}
}

// complete is the terminal's AutoCompleteCallback.
func (e *editor) complete(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		return "", 0, false
	}
	candidates, start := e.s.Complete(line, pos)
	if len(candidates) == 0 {
		return line, pos, true
	}
	common := candidates[0]
	for _, c := range candidates[1:] {
		for !strings.HasPrefix(c, common) {
			common = common[:len(common)-1]
		}
	}
	if len(candidates) > 1 && common == line[start:pos] {
		e.list(candidates)
	}
	return line[:start] + common + line[pos:], start + len(common), true
}

const listed = 60

// list prints candidates in columns.
func (e *editor) list(candidates []string) {
	width, _, err := term.GetSize(int(e.out.Fd()))
	if err != nil {
		width = 80
	}
	more := len(candidates) - listed
	candidates = candidates[:min(len(candidates), listed)]
	widest := len(slices.MaxFunc(candidates, func(a, b string) int { return len(a) - len(b) })) + 2
	perLine := max(1, (width-1)/widest)
	text := strings.Builder{}
	for i, c := range candidates {
		if (i+1)%perLine == 0 || i == len(candidates)-1 {
			text.WriteString(c + "\n")
		} else {
			fmt.Fprintf(&text, "%-*s", widest, c)
		}
	}
	if more > 0 {
		fmt.Fprintf(&text, "… and %d more\n", more)
	}
	terminal.Fprintf(terminal.NewWriter(e.t), "%s", terminal.Text(text.String()))
}

// keys reads a terminal's keys. Ctrl-C clears the line: the editor would take it as the end.
type keys struct {
	in      io.Reader
	pending []byte
}

const (
	ctrlC   = 3
	toEnd   = 5  // Ctrl-E
	toStart = 21 // Ctrl-U: erases up to the start
)

func (k *keys) Read(p []byte) (int, error) {
	if len(k.pending) == 0 {
		n, err := k.in.Read(p)
		if err != nil {
			return n, err
		}
		for _, b := range p[:n] {
			if b == ctrlC {
				k.pending = append(k.pending, toEnd, toStart)
			} else {
				k.pending = append(k.pending, b)
			}
		}
	}
	n := copy(p, k.pending)
	k.pending = k.pending[n:]
	return n, nil
}
