package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A session is a running program with two connections to it: one waits for an edit to show, the other
// keeps asking for decisions and finds out how long one of them must wait.
type session struct {
	*process
	poll, steady conn
	version      int // of the newest text that was saved
	edits        int
	failed       int // decisions that were not answered as they must be
	failure      error
}

func newSession(p *process) *session {
	return &session{process: p, poll: conn{addr: p.addr}, steady: conn{addr: p.addr}}
}

func (s *session) close() {
	s.poll.close()
	s.steady.close()
	s.stop()
}

const (
	pollPause   = 500 * time.Microsecond // between two looks for an edit
	steadyPause = time.Millisecond       // between two decisions of the other connection
)

// waitFor polls until the question has the result it wants. live is false when it had not within limit.
func (s *session) waitFor(ctx context.Context, q question, limit time.Duration) (live bool, err error) {
	for until := time.Now().Add(limit); ; {
		result, err := s.poll.result(ctx, q)
		if err == nil && result == q.want {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		select {
		case <-s.exited:
			return false, s.withLog(errors.New("the program has ended"))
		default:
		}
		if time.Now().After(until) {
			return false, nil
		}
		if err := sleep(ctx, pollPause); err != nil {
			return false, err
		}
	}
}

// askUntil asks a decision every millisecond until stop is closed, and returns how long each took.
// The one under way is waited for. An answer that is not the wanted one is counted.
func (s *session) askUntil(ctx context.Context, q question, stop <-chan struct{}) []time.Duration {
	var took []time.Duration
	tick := time.NewTicker(steadyPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return took
		case <-stop:
			return took
		case <-tick.C:
		}
		started := time.Now()
		result, err := s.steady.result(ctx, q)
		took = append(took, time.Since(started))
		if err == nil && result != q.want {
			err = fmt.Errorf("%s is %s, not %s", q.name, result, q.want)
		}
		if err != nil && ctx.Err() == nil {
			s.failed++
			s.failure = fmt.Errorf("%s: %w", s.name, err)
		}
	}
}

// meanwhile does something while the other connection keeps asking, and returns how long each
// of its decisions took.
func (s *session) decisionsDuring(ctx context.Context, steady question, do func() error) ([]time.Duration, error) {
	var took []time.Duration
	var wg sync.WaitGroup
	s.steady.close() // a server may have closed it, idle as it was while the other program had its turn
	stop := make(chan struct{})
	wg.Go(func() { took = s.askUntil(ctx, steady, stop) })
	err := do()
	close(stop)
	wg.Wait()
	return took, err
}

// A save puts text where path was, as an editor does.
type save func(path, text string) error

// renameSave writes a temporary file beside the old one and renames it over that: most editors, sed -i.
func renameSave(path, text string) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// moveSave renames a file over the old one that was written elsewhere: deployment tools. It is the
// least that a watch can be told: one event.
func moveSave(staging string) save {
	return func(path, text string) error {
		temporary := filepath.Join(staging, "moved")
		if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
			return err
		}
		return os.Rename(temporary, path)
	}
}

// inPlaceSave truncates the old file and writes it: cp, many IDEs.
func inPlaceSave(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// A change is an edit, the question whose answer shows that it is live, and one that is asked then.
type change struct {
	path, text   string
	shows, first question
}

// edited is what an edit was seen to do.
type editResult struct {
	live          bool
	toLive        time.Duration // from the save to the first new answer, when live
	maxDecision   time.Duration // that a decision took meanwhile
	firstDecision time.Duration // that the first decision by a rule took that nobody asked since the edit, when live
}

func (s *session) edit(ctx context.Context, c change, by save, steady question, deadline time.Duration) (e editResult, err error) {
	took, err := s.decisionsDuring(ctx, steady, func() error {
		if err := sleep(ctx, 5*steadyPause); err != nil {
			return err
		}
		started := time.Now()
		if err := by(filepath.Join(s.policy, filepath.FromSlash(c.path)), c.text); err != nil {
			return fmt.Errorf("save %s: %w", c.path, err)
		}
		e.live, err = s.waitFor(ctx, c.shows, deadline)
		e.toLive = time.Since(started)
		if err != nil || !e.live {
			return err
		}
		started = time.Now()
		if _, err := s.poll.result(ctx, c.first); err != nil {
			return s.withLog(err)
		}
		e.firstDecision = time.Since(started)
		return nil
	})
	s.edits++
	for _, d := range took {
		e.maxDecision = max(e.maxDecision, d)
	}
	return e, err
}

// writeFiles writes a policy directory.
func writeFiles(dir string, files map[string]string) error {
	for path, text := range files {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
