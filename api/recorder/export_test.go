package recorder

// Idle reports whether nothing waits or is being kept.
func (r *Recorder) Idle() bool { return r.queued.Load() == 0 }

// NewTally makes a tally that chooses as random says.
func NewTally(random func(n uint64) uint64) func(path, kind uint64, defined bool) uint64 {
	t := newTally()
	t.random = random
	return t.count
}
