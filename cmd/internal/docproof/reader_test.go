//go:build unix

package docproof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"defenseclaw/cmd/internal/testutil"
)

// A reader does what a page says.
type reader struct {
	shell *shell
	home  string // of the person; the clone is the folder defenseclaw in it
	port  string // of this page's sidecar

	output string // what the newest command in the background prints
	seen   int    // how far it has been looked at

	ran     int
	notRun  []string
	missing []string
}

// standIn is the home that pages show.
const standIn = "/home/alice"

// read does all that the blocks of a page say, until something is not as they say.
func (r *reader) read(blocks []block) error {
	for _, b := range blocks {
		if err := r.do(b); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) do(b block) error {
	if b.skip != "" {
		r.notRun = append(r.notRun, fmt.Sprintf("line %d: %s", b.line, b.skip))
		return nil
	}
	if i := slices.IndexFunc(b.needs, func(program string) bool { _, err := exec.LookPath(program); return err != nil }); i >= 0 {
		r.missing = append(r.missing, fmt.Sprintf("line %d: there is no %s", b.line, b.needs[i]))
		return nil
	}
	switch {
	case b.file != "":
		r.ran++
		return r.save(b)
	case b.shows:
		r.ran++
		return r.awaitShown(b.line, b.text)
	}
	for i, s := range b.steps {
		last := i == len(b.steps)-1
		r.ran++
		if b.background && last {
			if b.restart {
				if err := r.interrupt(s); err != nil {
					return err
				}
			}
			output, err := r.shell.start(r.local(s.command), r.port)
			r.output, r.seen = output, 0
			if err == nil {
				err = r.awaitShown(s.line, s.shown)
			}
			return err
		}
		exit := 0
		if last {
			exit = b.exit
		}
		if err := r.step(s, exit, b.eventually); err != nil {
			return err
		}
	}
	return nil
}

// interrupt ends the newest command in the background, as a reader does by Ctrl-C.
func (r *reader) interrupt(s step) error {
	o, err := r.shell.run("kill -TERM $docproof_newest; wait $docproof_newest", false)
	if err == nil && o.code != 0 {
		err = fmt.Errorf("what ran before it ends with %d", o.code)
	}
	return wrap(s, err)
}

// local is a command with the port of this page.
func (r *reader) local(command string) string {
	return strings.ReplaceAll(command, "127.0.0.1:18970", "127.0.0.1:"+r.port)
}

// shown is what a command printed, with the names that pages use.
func (r *reader) shown(printed string) string { return strings.ReplaceAll(printed, r.home, standIn) }

func (r *reader) step(s step, exit int, eventually bool) error {
	var o outcome
	var err error
	asShown := func() bool {
		if o, err = r.shell.run(r.local(s.command), s.quiet); err != nil {
			return true
		}
		return o.code == exit && (s.quiet || matches(s.shown, r.shown(o.printed)))
	}
	if asShown() || eventually && testutil.Eventually(asShown) {
		return wrap(s, err)
	}
	if o.code != exit {
		return fmt.Errorf("line %d: %s\nends with %d, not with %d, and prints\n%s", s.line, s.command, o.code, exit, r.shown(o.printed))
	}
	return differs(s.line, s.command, s.shown, r.shown(o.printed))
}

func wrap(s step, err error) error {
	if err != nil {
		return fmt.Errorf("line %d: %s\n%w", s.line, s.command, err)
	}
	return nil
}

func differs(line int, command, shown, printed string) error {
	return fmt.Errorf("line %d: %s\nthe page shows\n%s\nand it prints\n%s", line, command, indented(shown), indented(printed))
}

func indented(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// awaitShown waits until the command in the background has printed what the page shows.
func (r *reader) awaitShown(line int, shown string) error {
	if strings.TrimSpace(shown) == "" {
		return nil
	}
	if r.output == "" {
		return fmt.Errorf("line %d: no command runs in the background", line)
	}
	var printed []byte
	var err error
	if testutil.Eventually(func() bool {
		if printed, err = os.ReadFile(r.output); err != nil && !errors.Is(err, os.ErrNotExist) {
			return true
		}
		end, ok := found(shown, r.shown(string(printed)), r.seen)
		r.seen = end
		return ok
	}) {
		return err
	}
	return differs(line, "the command in the background", shown, r.shown(string(printed)))
}

// save saves a block as the file that it is, in the folder in which the reader is.
func (r *reader) save(b block) error {
	where, err := r.shell.run("pwd", false)
	if err != nil {
		return err
	}
	name := filepath.Join(strings.TrimSpace(where.printed), b.file)
	if filepath.IsAbs(b.file) {
		return fmt.Errorf("line %d: %s is an absolute path", b.line, b.file)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(b.text+"\n"), 0o600))
}

// cloned are the parts of the repository that pages use.
var cloned = []string{"policies", "client", "docs/examples", "docs/systemd", "docs/monitoring", "docs/kubernetes", "docs/reference"}

// newReader lays out a clone of the repository in a new home and opens a shell in it.
func newReader(ctx context.Context, repository, bin string, port int) (*reader, error) {
	home, err := os.MkdirTemp("", "dp") // short: the path of a socket has a limit
	if err != nil {
		return nil, err
	}
	if home, err = filepath.EvalSymlinks(home); err != nil {
		return nil, err
	}
	clone := filepath.Join(home, "defenseclaw")
	files := filepath.Join(home, ".docproof")
	for _, part := range cloned {
		if err := os.CopyFS(filepath.Join(clone, part), os.DirFS(filepath.Join(repository, part))); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(os.Symlink(bin, filepath.Join(clone, "bin")), os.Mkdir(files, 0o700)); err != nil {
		return nil, err
	}
	s, err := openShell(ctx, clone, files, environment(home))
	return &reader{shell: s, home: home, port: strconv.Itoa(port)}, err
}

// close ends all that the page started, and removes what it wrote.
func (r *reader) close() error { return errors.Join(r.shell.close(), os.RemoveAll(r.home)) }
