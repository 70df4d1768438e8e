//go:build unix

package docproof

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"defenseclaw/cmd/internal/testutil"
)

// A shell is one bash that runs the commands of a page one after the other, as a reader's terminal does: it keeps
// variables, functions, the working directory and programs in the background.
type shell struct {
	cmd    *exec.Cmd
	stdin  *os.File
	codes  *bufio.Reader // a line with the exit code for each command
	pipe   *os.File
	files  string // a folder for commands and what they print
	number int
}

// openShell starts a shell in a folder.
func openShell(ctx context.Context, dir, files string, env []string) (*shell, error) {
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	codes, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-s")
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.ExtraFiles = dir, env, in, []*os.File{out}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with all that it starts
	s := &shell{cmd: cmd, stdin: stdin, codes: bufio.NewReader(codes), pipe: codes, files: files}
	err = cmd.Start()
	if err := errors.Join(in.Close(), out.Close()); err != nil {
		return nil, err
	}
	return s, err
}

// An outcome is what a command printed, and how it ended.
type outcome struct {
	printed string
	code    int
}

// run runs a command to its end. If each of its commands must succeed, code is that of the newest which did not.
func (s *shell) run(command string, each bool) (outcome, error) {
	name, err := s.save(command)
	if err != nil {
		return outcome{}, err
	}
	trap := ""
	if each {
		trap = "trap 'docproof_code=$?' ERR; "
	}
	// What a command starts in the background must not keep the pipe of the exit codes.
	_, err = fmt.Fprintf(s.stdin, "docproof_code=0; %s{ eval \"$(cat %q)\"; } >%q 2>&1 </dev/null 3>&-; "+
		"docproof_last=$?; trap - ERR; [ $docproof_code -ne 0 ] || docproof_code=$docproof_last; echo $docproof_code >&3\n", trap, name, name+".out")
	if err != nil {
		return outcome{}, fmt.Errorf("the shell has ended: %w", err)
	}
	if err := s.pipe.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
		return outcome{}, err
	}
	line, err := s.codes.ReadString('\n')
	printed, readErr := os.ReadFile(name + ".out")
	if err != nil {
		return outcome{}, fmt.Errorf("the command does not end, or ends the shell: %w; it printed\n%s", err, printed)
	}
	code, err := strconv.Atoi(strings.TrimSpace(line))
	return outcome{string(printed), code}, errors.Join(err, readErr)
}

// start starts one program in the background, to listen on a port and to log as on a terminal, and returns the file that gets what it
// prints.
func (s *shell) start(command, port string) (string, error) {
	name, err := s.save(command)
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(s.stdin, "{ export DEFENSECLAW_API_PORT=%s DEFENSECLAW_LOG_FORMAT=console; eval \"exec $(cat %q)\"; } >%q 2>&1 </dev/null 3>&- & docproof_newest=$!\n", port, name, name+".out")
	return name + ".out", err
}

func (s *shell) save(command string) (string, error) {
	s.number++
	name := filepath.Join(s.files, strconv.Itoa(s.number))
	return name, os.WriteFile(name, []byte(command), 0o600)
}

// close ends the shell and what runs in its background, as a reader does who closes the terminal, and waits for the end of all of it.
func (s *shell) close() error {
	_, err := fmt.Fprint(s.stdin, "running=$(jobs -p); [ -z \"$running\" ] || kill -TERM $running; wait; exit 0\n")
	if errors.Is(err, syscall.EPIPE) {
		err = nil // the page ended it
	}
	group := -s.cmd.Process.Pid
	hangs := time.AfterFunc(testutil.Patience, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	waitErr := s.cmd.Wait()
	if !hangs.Stop() {
		err = errors.Join(err, fmt.Errorf("a program in the background does not end by SIGTERM: %w", waitErr))
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // what left the shell
	return errors.Join(err, s.stdin.Close(), s.pipe.Close())
}
