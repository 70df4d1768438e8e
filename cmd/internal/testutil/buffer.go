package testutil

import (
	"bytes"
	"sync"
)

// Buffer is one that is read while another goroutine writes to it, such as the output of a process.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to it.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
