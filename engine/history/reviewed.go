package history

import "fmt"

// Reviewed notes what came of the review of the change that made a revision serve, in the newest record of it. The error
// wraps [ErrNotFound] if there is none: a generation has its record some moments after it serves.
func (s *Store) Reviewed(revision string, what Reviewed) error {
	x := &s.index
	x.writing.Lock()
	defer x.writing.Unlock()
	if err := s.takeIndex(); err != nil {
		return err
	}
	seq := s.noteReview(revision, &what)
	if seq == 0 {
		return fmt.Errorf("note a review of %s: %w", revision, ErrNotFound)
	}
	return s.appendIndex(body{Seq: seq, Review: &what})
}

func (s *Store) noteReview(revision string, what *Reviewed) (seq uint64) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	for i := len(s.index.records) - 1; i >= 0; i-- {
		if r := &s.index.records[i]; r.Revision == revision {
			r.Reviewed = what
			return r.Seq
		}
	}
	return 0
}
