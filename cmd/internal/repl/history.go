package repl

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// keptLines bounds the file of earlier lines: with twice as many, a session that begins shortens it.
const keptLines = 1000

// history are earlier lines, those of a file first. What cannot be written is kept for this session.
type history struct {
	file  string // empty: none
	lines []string
}

// openHistory reads a file of earlier lines, each quoted as in Go.
func openHistory(file string) *history {
	h := &history{file: file}
	if file == "" {
		return h
	}
	text, err := os.ReadFile(file) //nolint:gosec // the user's own
	if err != nil {
		return h
	}
	for line := range bytes.Lines(text) {
		if entry, err := strconv.Unquote(strings.TrimSpace(string(line))); err == nil {
			h.lines = append(h.lines, entry)
		}
	}
	if len(h.lines) > 2*keptLines {
		h.lines = h.lines[len(h.lines)-keptLines:]
		shorter := strings.Builder{}
		for _, entry := range h.lines {
			shorter.WriteString(strconv.Quote(entry) + "\n")
		}
		_ = os.WriteFile(file, []byte(shorter.String()), 0o600) // it can wait
	}
	return h
}

// Add is [term.History]'s. Empty lines, and one like that before, are left out.
func (h *history) Add(entry string) {
	if strings.TrimSpace(entry) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == entry {
		return
	}
	h.lines = append(h.lines, entry)
	if h.file == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o700); err != nil {
		return
	}
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(strconv.Quote(entry) + "\n") // it is kept for this session
	_ = f.Close()
}

// Len is [term.History]'s.
func (h *history) Len() int { return len(h.lines) }

// At is [term.History]'s: 0 is the newest.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
