package testrun

import (
	"fmt"
	"os"
	"time"

	"github.com/open-policy-agent/opa/v1/tester"
	"golang.org/x/term"
)

// Progress shows on a terminal, in one line, how many tests of a run are done. On anything but a terminal it
// shows nothing.
type Progress struct {
	out                 *os.File
	total, done, failed int
	terminal            bool
	shown               time.Time
}

const progressInterval = 100 * time.Millisecond

// NewProgress returns the progress of a run of total tests.
func NewProgress(out *os.File, total int) *Progress {
	return &Progress{out: out, total: total, terminal: term.IsTerminal(int(out.Fd())), shown: time.Now()}
}

// Add counts a result. It is an [Options.Done].
func (p *Progress) Add(r *tester.Result) {
	p.done++
	if r.Fail || r.Error != nil {
		p.failed++
	}
	if p.terminal && time.Since(p.shown) >= progressInterval {
		p.shown = time.Now()
		fmt.Fprintf(p.out, "\r\x1b[K%d of %d tests, %d failed", p.done, p.total, p.failed)
	}
}

// Clear removes the line.
func (p *Progress) Clear() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
