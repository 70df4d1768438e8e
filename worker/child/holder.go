package child

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/rpc"
	"slices"
	"sync"

	"defenseclaw/engine/memfs"
)

// serviceMethod names of [net/rpc]; see [Holder] for what they do.
const (
	serviceName = "holder"
	methodPut   = serviceName + ".Put"
	methodLoad  = serviceName + ".Load"
	methodEnd   = serviceName + ".End"
)

// Policy is what a process makes of files, such as an *engine.Generation.
type Policy interface {
	comparable
	Content
}

// LoadFunc makes a policy of files. from is the one that they differ from by little; the zero value is none.
type LoadFunc[P Policy] func(ctx context.Context, l Loading, files fs.FS, from P) (P, error)

// Holder is the process's side of [Process.Give] and of the end of a [Process.Call]. Its methods Put, Load and End have
// the form that [net/rpc] asks for.
type Holder[P Policy] struct {
	Calls

	load LoadFunc[P]

	mu      sync.Mutex // guards the fields below
	pending map[string][]byte
	held    map[uint64]P
}

// NewHolder makes a holder of nothing.
func NewHolder[P Policy](load LoadFunc[P]) *Holder[P] {
	return &Holder[P]{load: load, pending: map[string][]byte{}, held: map[uint64]P{}}
}

// Serve serves what the holder and service have, the latter as name, until the pipe ends. Then it ends the calls that can
// be ended, and waits for all.
func (h *Holder[P]) Serve(pipe io.ReadWriteCloser, name string, service any) error {
	server := rpc.NewServer()
	if err := server.RegisterName(serviceName, h); err != nil {
		return err
	}
	if err := server.RegisterName(name, service); err != nil {
		return err
	}
	server.ServeConn(&watched{pipe, h.endAll})
	return nil
}

// watched calls ended when its pipe has.
type watched struct {
	io.ReadWriteCloser
	ended func()
}

// Read reads from the pipe.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadWriteCloser.Read(b)
	if err != nil {
		w.ended()
	}
	return n, err
}

// Put takes files of the next policy.
func (h *Holder[P]) Put(f Files, _ *bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.Begin {
		clear(h.pending)
	}
	for _, file := range f.Files {
		h.pending[file.Path] = file.Bytes
	}
	return nil
}

// Load makes the next policy.
func (h *Holder[P]) Load(l Loading, _ *bool) error {
	ctx, done := h.Begin(l.Call)
	defer done()
	h.mu.Lock()
	files, from := h.pending, h.held[l.From]
	h.pending = map[string][]byte{}
	h.mu.Unlock()
	var none P
	if l.From != 0 && from == none {
		return fmt.Errorf("it does not hold policy %d any more", l.From)
	}
	if from != none {
		for _, f := range from.Files() {
			if _, ok := files[f.Path]; !ok {
				files[f.Path] = f.Bytes
			}
		}
	}
	for _, path := range l.Removed {
		delete(files, path)
	}
	loaded, err := h.load(ctx, l, memfs.New(func(yield func(string, []byte) bool) {
		for path, bytes := range files {
			if !yield(path, bytes) {
				return
			}
		}
	}), from)
	if err != nil {
		return err
	}
	if loaded.Revision() != l.Revision {
		return fmt.Errorf("its revision is %s, and the sidecar's %s", loaded.Revision(), l.Revision)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.held {
		if !slices.Contains(l.Keep, id) {
			delete(h.held, id)
		}
	}
	h.held[l.ID] = loaded
	return nil
}

// Held is the policy of a number, if the process holds it.
func (h *Holder[P]) Held(id uint64) (P, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.held[id]
	return p, ok
}

// Calls are those that the starter may end. They have numbers from 1, in their order.
type Calls struct {
	mu    sync.Mutex // guards the fields below
	ended uint64     // calls up to this one are
	under map[uint64]context.CancelFunc
}

// Begin begins a call: its context ends when the starter has it end, or has ended itself. done is called at its end.
func (c *Calls) Begin(call uint64) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	if call <= c.ended {
		cancel()
	}
	if c.under == nil {
		c.under = map[uint64]context.CancelFunc{}
	}
	c.under[call] = cancel
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.under, call)
	}
}

const everyCall = ^uint64(0)

// End ends a call, and those before it, which have ended.
func (c *Calls) End(call uint64, _ *bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = max(c.ended, call)
	for number, cancel := range c.under {
		if number <= c.ended {
			cancel()
		}
	}
	return nil
}

func (c *Calls) endAll() { _ = c.End(everyCall, nil) }
