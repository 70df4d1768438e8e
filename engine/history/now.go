package history

import (
	"context"
	"os"
)

// SaveNow writes the entry of a record that waits for it, and returns once it is on disk: for what a restart must find.
// The error wraps [ErrSwept] if the entry neither waits nor is there.
func (s *Store) SaveNow(ctx context.Context, r Record) error {
	s.index.mu.Lock()
	g := s.index.waiting[r.Seq]
	s.index.mu.Unlock()
	if g == nil {
		if _, err := os.Lstat(s.entry(r.File).Path); err != nil {
			return ErrSwept
		}
		return nil
	}
	_, err := s.save(ctx, r, g, nil)
	return err
}
