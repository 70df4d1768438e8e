package reviewer

import (
	"context"
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

// giveRecords has the process hold the records of the review. It is given those that it lacks, in parts with pauses, and then
// what each weighs now.
func (m *making) giveRecords(ctx context.Context) error {
	who, all := m.suspect(doingRecords), m.work.Records
	lot := Lot{IDs: make([]uint64, len(all)), Weights: make([]float64, len(all))}
	held, lacking := make(map[recordKey]uint64, len(all)), []int{}
	for i := range all {
		key := keyOf(&all[i])
		id, known := m.p.records[key]
		if !known {
			m.p.lastID++
			id, lacking = m.p.lastID, append(lacking, i)
		}
		held[key], lot.IDs[i], lot.Weights[i] = id, id, all[i].Weight
	}
	for part := range slices.Chunk(lacking, batchSize) {
		var b Batch
		for _, i := range part {
			b.IDs, b.Records = append(b.IDs, lot.IDs[i]), append(b.Records, all[i])
		}
		begun := time.Now()
		if err := m.tellRecords(ctx, who, methodRecords, b); err != nil {
			return err
		}
		if err := rest(ctx, min(givingPause*time.Since(begun), maxGivingPause)); err != nil {
			return m.explain(ctx, err)
		}
	}
	if err := m.tellRecords(ctx, who, methodLot, lot); err != nil {
		return err
	}
	m.p.records = held
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
