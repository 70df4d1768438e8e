package audit

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The kinds of problems.
const (
	ProblemAltered  = "altered"  // the record differs from what was written
	ProblemRemoved  = "removed"  // Count records from Seq on are missing
	ProblemInserted = "inserted" // the log did not write the record
	ProblemMoved    = "moved"    // the record was written at another position
	ProblemHead     = "head"     // the chain does not end as noted, or does not contain a noted head
	ProblemAnchor   = "anchor"   // the chain does not begin where retention ended
	ProblemLists    = "lists"    // an entry of the lists was changed without a record
	ProblemDamaged  = "damaged"  // SQLite reports that the file is damaged
)

// Problem is one problem of a chain.
type Problem struct {
	Kind    string `json:"kind"`
	Seq     int64  `json:"seq,omitempty"`
	ID      string `json:"id,omitempty"` // of the record at Seq
	Count   int64  `json:"count,omitempty"`
	Message string `json:"message"` // a sentence with all of the above
}

// VerifyReport is the result of a verification. One manipulation may cause several problems; the first one
// has the smallest seq.
type VerifyReport struct {
	OK           bool      `json:"ok"`
	CheckedAt    time.Time `json:"checked_at"`
	DurationMS   float64   `json:"duration_ms"`
	ChainID      string    `json:"chain_id"`
	Records      int64     `json:"records"`   // number of records read
	First        int64     `json:"first_seq"` // the oldest; retention removed those before it
	Head         Head      `json:"head"`      // the newest: store it elsewhere and verify against it later
	Problems     []Problem `json:"problems"`  // at most 100
	MoreProblems int       `json:"more_problems"`
}

const (
	maxProblems = 100
	maxShift    = 16 // how far from its position a moved record is searched for
)

// walk reads the chain from its anchor to its head.
type walk struct {
	report   VerifyReport
	chain    chain
	last     Head    // the previous row, as it is in the table
	shift    int64   // how far the rows from here on were moved; reported once
	prune    *pruned // of the newest record of retention
	lists    string  // the newest hash of the lists in a record
	noted    []Head
	db       querier
	previous string // id of the previous row
	reported bool   // a problem with the previous row has been reported
}

// verify reads everything in one transaction, and so does not see what is appended meanwhile.
func verify(ctx context.Context, db *sql.DB, noted []Head) (VerifyReport, error) {
	start := time.Now()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return VerifyReport{}, fmt.Errorf("verify audit records: %w", explain(err))
	}
	w := &walk{db: tx, noted: noted, report: VerifyReport{CheckedAt: start.UTC(), Problems: []Problem{}}}
	err = errors.Join(w.run(ctx), ignoreDone(tx.Rollback()))
	if err != nil {
		return VerifyReport{}, fmt.Errorf("verify audit records: %w", explain(err))
	}
	w.report.OK = len(w.report.Problems) == 0
	w.report.DurationMS = float64(time.Since(start).Microseconds()) / 1000
	return w.report, nil
}

func (w *walk) run(ctx context.Context) (err error) {
	if w.chain, err = readChain(ctx, w.db); err != nil {
		return err
	}
	w.report.ChainID, w.report.Head, w.last = w.chain.id, w.chain.head, w.chain.anchor
	if first := genesis(w.chain.id, w.chain.startedAt); w.chain.anchor.Seq == 0 && w.chain.anchor.Hash != first {
		w.problem(Problem{Kind: ProblemAnchor}, "the genesis hash of the chain does not match its id")
	}
	if err := eachRow(ctx, w.db, "seq", "WHERE typeof(seq) = 'integer' ORDER BY seq", nil, func(r *row) error { return w.step(ctx, r) }); err != nil {
		return err
	}
	w.end()
	for _, check := range []func(context.Context) error{w.checkForeign, w.checkLists, w.checkFile} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// problem adds p with the formatted message to the report.
func (w *walk) problem(p Problem, format string, args ...any) {
	if len(w.report.Problems) == maxProblems {
		w.report.MoreProblems++
		return
	}
	p.Message = fmt.Sprintf(format, args...)
	w.report.Problems = append(w.report.Problems, p)
}

// step checks a row against the previous one.
func (w *walk) step(ctx context.Context, r *row) error {
	w.report.Records++
	if w.report.First == 0 {
		w.report.First = r.seq
	}
	want := w.last.Seq + 1
	id := text(r.values.id)
	if r.seq < want {
		w.problem(Problem{Kind: ProblemInserted, Seq: r.seq, ID: id},
			"record %d (%s) is at a position that the chain has passed", r.seq, id)
		return nil
	}
	if gone := r.seq - want; gone > 0 {
		w.problem(Problem{Kind: ProblemRemoved, Seq: want, Count: gone},
			"%d records from %d on were removed", gone, want)
	}
	whole := chainHash(r.prev, r.seq, &r.values) == r.hash
	if whole {
		if r.seq == want && r.prev != w.last.Hash && !w.reported {
			w.misfit(r, id)
		}
		w.shift = 0
		w.remember(r)
	} else if err := w.stepBroken(ctx, r, id); err != nil {
		return err
	}
	w.reported = !whole
	for _, noted := range w.noted {
		if noted.Seq == r.seq && noted.Hash != r.hash {
			w.problem(Problem{Kind: ProblemHead, Seq: r.seq, ID: id},
				"record %d (%s) does not have the noted hash: the chain was rewritten", r.seq, id)
		}
	}
	w.last, w.previous = Head{r.seq, r.hash}, id
	return nil
}

// stepBroken finds out whether a row with a wrong hash was moved or altered.
func (w *walk) stepBroken(ctx context.Context, r *row, id string) error {
	if w.shift != 0 && chainHash(r.prev, r.seq-w.shift, &r.values) == r.hash {
		return nil // reported already
	}
	candidates := []int64{}
	for d := int64(1); d <= maxShift; d++ {
		candidates = append(candidates, r.seq-d, r.seq+d)
	}
	if len(w.report.Problems) < maxProblems { // limits the number of queries
		after, err := columnOf[int64](ctx, w.db, "SELECT seq + 1 FROM audit_events WHERE hash = ? AND typeof(seq) = 'integer' LIMIT 16", r.prev)
		if err != nil {
			return err
		}
		candidates = append(candidates, after...)
	}
	at := slices.IndexFunc(candidates, func(seq int64) bool { return chainHash(r.prev, seq, &r.values) == r.hash })
	if at < 0 {
		w.shift = 0
		w.problem(Problem{Kind: ProblemAltered, Seq: r.seq, ID: id},
			"record %d (%s) was altered: its hash does not match", r.seq, id)
		return nil
	}
	w.shift = r.seq - candidates[at]
	w.problem(Problem{Kind: ProblemMoved, Seq: r.seq, ID: id},
		"record %d (%s) was written as record %d: records before it were removed, inserted or moved",
		r.seq, id, candidates[at])
	return nil
}

// misfit reports a row with a valid hash that was chained to a row other than the previous one.
func (w *walk) misfit(r *row, id string) {
	if w.previous == "" {
		w.problem(Problem{Kind: ProblemAnchor, Seq: r.seq, ID: id},
			"record %d (%s) does not follow the last record that retention removed", r.seq, id)
		return
	}
	w.problem(Problem{Kind: ProblemAltered, Seq: w.last.Seq, ID: w.previous},
		"record %d (%s) is not the one that record %d was chained to: it was altered or inserted, and its hash recomputed",
		w.last.Seq, w.previous, r.seq)
}

// remember keeps what the newest records contain about the anchor and the lists.
func (w *walk) remember(r *row) {
	if r.values.action == ActionTampered {
		w.problem(Problem{Kind: ProblemHead, Seq: r.seq, ID: text(r.values.id)}, "record %d says: %s", r.seq, text(r.values.details))
	}
	details, ok := r.values.structuredJSON.(string)
	if !ok {
		return
	}
	switch r.values.action {
	case ActionPrune:
		p := &pruned{}
		if json.Unmarshal([]byte(details), p) == nil {
			w.prune, w.lists = p, p.Lists
		}
	case ActionListBlock, ActionListAllow, ActionListRemove, ActionListImport, ActionReplaced:
		var d map[string]any
		if json.Unmarshal([]byte(details), &d) == nil {
			hash, there := d[listsHashKey].(string)
			if there || r.values.action == ActionReplaced { // the entries of an import share the hash of its last record
				w.lists = hash
			}
		}
	}
}

// end compares the last row with the recorded and the noted heads, and the anchor with the record of
// retention.
func (w *walk) end() {
	switch head := w.chain.head; {
	case w.last.Seq < head.Seq:
		w.problem(Problem{Kind: ProblemRemoved, Seq: w.last.Seq + 1, Count: head.Seq - w.last.Seq},
			"%d records from %d on were removed: the newest was %d", head.Seq-w.last.Seq, w.last.Seq+1, head.Seq)
	case w.last.Seq > head.Seq:
		w.problem(Problem{Kind: ProblemInserted, Seq: head.Seq + 1, Count: w.last.Seq - head.Seq},
			"%d records after %d, the newest that the log wrote, were inserted", w.last.Seq-head.Seq, head.Seq)
	case w.last.Hash != head.Hash:
		w.problem(Problem{Kind: ProblemHead, Seq: head.Seq, ID: w.previous},
			"the newest record %d (%s) does not have the hash in audit_chain", head.Seq, w.previous)
	}
	for _, noted := range w.noted {
		if noted.Seq > w.last.Seq {
			w.problem(Problem{Kind: ProblemHead, Seq: noted.Seq},
				"record %d, whose hash was noted, is missing: the chain ends at %d", noted.Seq, w.last.Seq)
		}
	}
	switch anchor := w.chain.anchor; {
	case w.prune == nil && anchor.Seq > 0:
		w.problem(Problem{Kind: ProblemAnchor, Seq: anchor.Seq},
			"the chain begins after record %d, and no record says that retention removed the ones before", anchor.Seq)
	case w.prune != nil && (w.prune.Through != anchor.Seq || w.prune.Hash != anchor.Hash):
		w.problem(Problem{Kind: ProblemAnchor, Seq: anchor.Seq},
			"the chain begins after record %d, but retention recorded that it removed those up to %d",
			anchor.Seq, w.prune.Through)
	}
}

// checkForeign finds rows outside the chain.
func (w *walk) checkForeign(ctx context.Context) error {
	ids, err := columnOf[any](ctx, w.db, "SELECT id FROM audit_events WHERE typeof(seq) <> 'integer' LIMIT 10000")
	if err != nil {
		return err
	}
	for _, id := range ids {
		w.problem(Problem{Kind: ProblemInserted, ID: text(id)},
			"record %s is not in the chain: another program wrote it", text(id))
	}
	return nil
}

// checkLists compares the lists with their hash in the newest record about them.
func (w *walk) checkLists(ctx context.Context) error {
	now, err := listsHash(ctx, w.db)
	if err != nil {
		return err
	}
	if w.lists == "" {
		w.lists = emptyLists()
	}
	if now != w.lists {
		w.problem(Problem{Kind: ProblemLists}, "the block and allow lists differ from their state after the last recorded change")
	}
	return nil
}

// checkFile has SQLite check the file, including the index that the walk used.
func (w *walk) checkFile(ctx context.Context) error {
	lines, err := columnOf[string](ctx, w.db, "PRAGMA integrity_check(10)")
	if err != nil {
		return err
	}
	for _, line := range lines {
		if line != "ok" {
			w.problem(Problem{Kind: ProblemDamaged}, "the database is damaged: %s", line)
		}
	}
	return nil
}
