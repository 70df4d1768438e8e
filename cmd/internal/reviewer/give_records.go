package reviewer

import (
	"context"
	"runtime"
	"slices"
	"time"

	"defenseclaw/engine/review/records"
)

// recordKey is the same for two records only if they are one: what a recorder holds is never written again.
type recordKey struct {
	decision      string
	at            int64
	input, result *byte
	masked        bool
}

func keyOf(r *records.Record) recordKey {
	return recordKey{r.DecisionID, r.Time.UnixNano(), first(r.Input), first(r.Result), r.Masked}
}

// first says where a text lies.
func first(text []byte) *byte {
	if len(text) == 0 {
		return nil
	}
	return &text[0]
}

// Giving rests after each part for a multiple of the time that it took, and not for long if it was the process that took
// it. Ten thousand at once took the live 99th percentile from 2.5 to 27 ms (BenchmarkLive).
const (
	givingPause    = 3
	maxGivingPause = 3 * time.Millisecond
)

// holdsRecords is what the process holds of records. A recorder gives them in one order, and few of them change from one
// review to the next, so most are found where they were.
type holdsRecords struct {
	ids  map[recordKey]uint64
	keys []recordKey // in the order of lot
	lot  Lot         // the last one
	at   int         // behind the key that find found last
}

// find is the number of a record; 0: the process lacks it.
func (h *holdsRecords) find(key recordKey) uint64 {
	const gap = 8 // records that went
	for i := h.at; i < min(h.at+gap, len(h.keys)); i++ {
		if h.keys[i] == key {
			h.at = i + 1
			return h.lot.IDs[i]
		}
	}
	return h.ids[key]
}

// recordsAtOnce is how many records are looked at between two turns of other goroutines: some ten microseconds.
const recordsAtOnce = 500

// giveRecords has the process hold the records of the review. It is given those that it lacks, in parts with pauses, and then
// what each weighs now.
func (m *making) giveRecords(ctx context.Context) error {
	who, all, p := m.suspect(doingRecords), m.work.Records, m.p
	next := holdsRecords{keys: make([]recordKey, len(all)), lot: Lot{IDs: make([]uint64, len(all)), Weights: make([]float64, len(all))}}
	var lacking []int
	p.records.at = 0
	for i := range all {
		if i%recordsAtOnce == 0 {
			runtime.Gosched()
		}
		key := keyOf(&all[i])
		id := p.records.find(key)
		if id == 0 {
			p.lastID++
			id, lacking = p.lastID, append(lacking, i)
		}
		next.keys[i], next.lot.IDs[i], next.lot.Weights[i] = key, id, all[i].Weight
	}
	for part := range slices.Chunk(lacking, batchSize) {
		var b Batch
		for _, i := range part {
			b.IDs, b.Records = append(b.IDs, next.lot.IDs[i]), append(b.Records, all[i])
		}
		begun := time.Now()
		if err := m.tellRecords(ctx, who, methodRecords, b); err != nil {
			return err
		}
		if err := rest(ctx, min(givingPause*time.Since(begun), maxGivingPause)); err != nil {
			return m.explain(ctx, err)
		}
	}
	return m.giveLot(ctx, who, next)
}

// giveLot tells which of the records are those of the review, or, where they are those of the one before, what has changed of
// their weights.
func (m *making) giveLot(ctx context.Context, who suspect, next holdsRecords) error {
	had, told := m.p.records, next.lot
	if same := len(next.keys) > 0 && slices.Equal(had.lot.IDs, next.lot.IDs); same {
		if slices.Equal(had.lot.Weights, next.lot.Weights) {
			return nil
		}
		next.ids, told.IDs = had.ids, nil
	}
	m.p.records = holdsRecords{} // until it has answered, nobody knows what it holds
	if err := m.tellRecords(ctx, who, methodLot, told); err != nil {
		return err
	}
	if next.ids == nil {
		next.ids = make(map[recordKey]uint64, len(next.keys))
		for i, key := range next.keys {
			if i%recordsAtOnce == 0 {
				runtime.Gosched()
			}
			next.ids[key] = next.lot.IDs[i]
		}
	}
	m.p.records = next
	return nil
}

func (m *making) tellRecords(ctx context.Context, who suspect, method string, what any) error {
	p := m.p // the call may begin after it was given up here
	err := p.Call(ctx, method, func(uint64) any {
		m.r.begin(p, who)
		return what
	}, new(bool))
	if err != nil {
		return m.explain(ctx, err)
	}
	m.r.done(p, who)
	return nil
}

func rest(ctx context.Context, pause time.Duration) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
