package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"defenseclaw/engine/corpus"
)

// A session is a running program with two connections: poll waits for an edit to go live, steady asks for
// decisions all the time, to measure how long they take meanwhile.
type session struct {
	*process
	poll, steady conn
	version      int   // of the last text saved
	edits        int   // number of edits made
	failed       int   // number of steady decisions with an error or a wrong answer
	failure      error // the last of them
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
	pollInterval   = 500 * time.Microsecond // between requests of poll
	steadyInterval = time.Millisecond       // between requests of steady
)

// waitFor polls until q has its result. live is false if it does not have it within limit.
func (s *session) waitFor(ctx context.Context, q corpus.Question, limit time.Duration) (live bool, err error) {
	r := s.dataRequest(q)
	for until := time.Now().Add(limit); ; {
		result, err := s.poll.result(ctx, r)
		if err == nil && result == q.Result {
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
		if err := sleep(ctx, pollInterval); err != nil {
			return false, err
		}
	}
}

// askUntil asks q every steadyInterval until stop is closed or ctx ends, and returns the latencies. It counts
// errors and wrong answers.
func (s *session) askUntil(ctx context.Context, q corpus.Question, stop <-chan struct{}) []time.Duration {
	var latencies []time.Duration
	r := s.dataRequest(q)
	tick := time.NewTicker(steadyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return latencies
		case <-stop:
			return latencies
		case <-tick.C:
		}
		started := time.Now()
		result, err := s.steady.result(ctx, r)
		latencies = append(latencies, time.Since(started))
		if err == nil && result != q.Result {
			err = fmt.Errorf("%s is %s, want %s", r.name, result, q.Result)
		}
		if err != nil && ctx.Err() == nil {
			s.failed++
			s.failure = fmt.Errorf("%s: %w", s.name, err)
		}
	}
}

// decisionsDuring calls f while the steady connection asks q, and returns the latencies of q.
func (s *session) decisionsDuring(ctx context.Context, q corpus.Question, f func() error) ([]time.Duration, error) {
	var latencies []time.Duration
	var wg sync.WaitGroup
	s.steady.close() // the server may have closed it while it was idle
	stop := make(chan struct{})
	wg.Go(func() { latencies = s.askUntil(ctx, q, stop) })
	err := f()
	close(stop)
	wg.Wait()
	return latencies, err
}

// A save replaces the text of the file at path, in the way of some editor or tool.
type save func(path, text string) error

// renameSave writes a temporary file in the same directory and renames it over the old file, as most editors
// and sed -i do.
func renameSave(path, text string) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// moveSave writes a file in staging, which is not watched, and renames it over the old file, as deployment
// tools do. It causes one event, the minimum.
func moveSave(staging string) save {
	return func(path, text string) error {
		temporary := filepath.Join(staging, "moved")
		if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
			return err
		}
		return os.Rename(temporary, path)
	}
}

// inPlaceSave truncates the old file and writes it, as cp and many IDEs do.
func inPlaceSave(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// A change is an edit of one file.
type change struct {
	path, text string
	shows      corpus.Question // has its result once the edit is live
	first      corpus.Question // asked next; no question has evaluated its rule since the edit
}

// editResult holds the measurements of one edit.
type editResult struct {
	live          bool
	toLive        time.Duration // from the save to the first new answer, if live
	maxDecision   time.Duration // the slowest steady decision during the edit
	firstDecision time.Duration // the latency of change.first, if live
}

// edit saves c and waits up to deadline until it is live, while it asks steady.
func (s *session) edit(
	ctx context.Context, c change, by save, steady corpus.Question, deadline time.Duration,
) (e editResult, err error) {
	latencies, err := s.decisionsDuring(ctx, steady, func() error {
		if err := sleep(ctx, 5*steadyInterval); err != nil {
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
		if _, err := s.poll.result(ctx, s.dataRequest(c.first)); err != nil {
			return s.withLog(err)
		}
		e.firstDecision = time.Since(started)
		return nil
	})
	s.edits++
	for _, d := range latencies {
		e.maxDecision = max(e.maxDecision, d)
	}
	return e, err
}

// writeFiles writes files, by path, into a directory.
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
