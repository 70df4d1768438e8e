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

// What is wrong with a chain.
const (
	ProblemAltered  = "altered"  // the record is not what was written
	ProblemRemoved  = "removed"  // Count records from Seq on are gone
	ProblemInserted = "inserted" // the log did not write it
	ProblemMoved    = "moved"    // it was written at another place
	ProblemHead     = "head"     // the end of the chain is not what was noted about it
	ProblemAnchor   = "anchor"   // the beginning is not where retention left it
	ProblemLists    = "lists"    // an entry was changed without a record
	ProblemDamaged  = "damaged"  // SQLite finds the file itself to be wrong
)

// Problem is one thing that is wrong.
type Problem struct {
	Kind    string `json:"kind"`
	Seq     int64  `json:"seq,omitempty"`
	ID      string `json:"id,omitempty"` // of the record at Seq
	Count   int64  `json:"count,omitempty"`
	Message string `json:"message"` // all of it, as a sentence
}

// VerifyReport is what a verification found. One act of tampering may show as several problems; the
// first is the oldest.
type VerifyReport struct {
	OK           bool      `json:"ok"`
	CheckedAt    time.Time `json:"checked_at"`
	DurationMS   float64   `json:"duration_ms"`
	ChainID      string    `json:"chain_id"`
	Records      int64     `json:"records"`   // that were read
	First        int64     `json:"first_seq"` // the oldest; those before it were removed by retention
	Head         Head      `json:"head"`      // the newest: note it elsewhere, and verify against it later
	Problems     []Problem `json:"problems"`  // at most 100
	MoreProblems int       `json:"more_problems"`
}

const mostProblems = 100

// walk goes along the chain from its anchor.
type walk struct {
	report   VerifyReport
	chain    chain
	last     Head  // the row before, as it lies in the table
	shift    int64 // how far rows stand from where they were written; one sentence tells of all
	prune    *pruned
	lists    string // the newest hash of the lists that a record tells
	noted    []Head
	db       querier
	previous string // id of the row before
	told     bool   // that there is something wrong with the row before
}

// verify reads everything in one transaction, so that what is appended meanwhile does not show.
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
		w.problem(Problem{Kind: ProblemAnchor, Message: "the beginning of the chain is not the one that its id gives"})
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

func (w *walk) problem(p Problem) {
	if len(w.report.Problems) == mostProblems {
		w.report.MoreProblems++
		return
	}
	w.report.Problems = append(w.report.Problems, p)
}

// step checks one row against the one before it.
func (w *walk) step(ctx context.Context, r *row) error {
	w.report.Records++
	if w.report.First == 0 {
		w.report.First = r.seq
	}
	want := w.last.Seq + 1
	id := text(r.values.id)
	if r.seq < want {
		w.problem(Problem{Kind: ProblemInserted, Seq: r.seq, ID: id, Message: fmt.Sprintf("record %d (%s) stands where the chain has been already", r.seq, id)})
		return nil
	}
	if gone := r.seq - want; gone > 0 {
		w.problem(Problem{Kind: ProblemRemoved, Seq: want, Count: gone, Message: fmt.Sprintf("%d records from %d on were removed", gone, want)})
	}
	whole := chainHash(r.prev, r.seq, &r.values) == r.hash
	if whole {
		if r.seq == want && r.prev != w.last.Hash && !w.told {
			w.misfit(r, id)
		}
		w.shift = 0
		w.remember(r)
	} else if err := w.stepBroken(ctx, r, id); err != nil {
		return err
	}
	w.told = !whole
	for _, noted := range w.noted {
		if noted.Seq == r.seq && noted.Hash != r.hash {
			w.problem(Problem{Kind: ProblemHead, Seq: r.seq, ID: id, Message: fmt.Sprintf("record %d (%s) is not the one whose hash was noted: the chain was rewritten", r.seq, id)})
		}
	}
	w.last, w.previous = Head{r.seq, r.hash}, id
	return nil
}

// stepBroken tells a row that was written at another place from one that was altered.
func (w *walk) stepBroken(ctx context.Context, r *row, id string) error {
	if w.shift != 0 && chainHash(r.prev, r.seq-w.shift, &r.values) == r.hash {
		return nil // told of already
	}
	candidates := []int64{}
	for d := int64(1); d <= 16; d++ {
		candidates = append(candidates, r.seq-d, r.seq+d)
	}
	if len(w.report.Problems) < mostProblems { // bounds the look-ups
		after, err := columnOf[int64](ctx, w.db, "SELECT seq + 1 FROM audit_events WHERE hash = ? AND typeof(seq) = 'integer' LIMIT 16", r.prev)
		if err != nil {
			return err
		}
		candidates = append(candidates, after...)
	}
	at := slices.IndexFunc(candidates, func(seq int64) bool { return chainHash(r.prev, seq, &r.values) == r.hash })
	if at < 0 {
		w.shift = 0
		w.problem(Problem{Kind: ProblemAltered, Seq: r.seq, ID: id, Message: fmt.Sprintf("record %d (%s) was altered: it does not have its hash", r.seq, id)})
		return nil
	}
	w.shift = r.seq - candidates[at]
	w.problem(Problem{Kind: ProblemMoved, Seq: r.seq, ID: id, Message: fmt.Sprintf("record %d (%s) was written as record %d: records before it were removed, inserted or moved", r.seq, id, candidates[at])})
	return nil
}

// misfit tells of a row that is whole and was chained to another one than stands before it.
func (w *walk) misfit(r *row, id string) {
	if w.previous == "" {
		w.problem(Problem{Kind: ProblemAnchor, Seq: r.seq, ID: id, Message: fmt.Sprintf("record %d (%s) does not follow what retention says it removed last", r.seq, id)})
		return
	}
	w.problem(Problem{Kind: ProblemAltered, Seq: w.last.Seq, ID: w.previous, Message: fmt.Sprintf("record %d (%s) is not the one that record %d was chained to: it was altered or put there, and given a new hash", w.last.Seq, w.previous, r.seq)})
}

// remember keeps what the newest records say about the anchor and the lists.
func (w *walk) remember(r *row) {
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
	case ActionListBlock, ActionListAllow, ActionListRemove, ActionReplaced:
		var d map[string]any
		if json.Unmarshal([]byte(details), &d) == nil {
			w.lists, _ = d[listsHashKey].(string)
		}
	}
}

// end compares where the walk came to with what was noted about the end, and its beginning with what
// retention recorded.
func (w *walk) end() {
	switch head := w.chain.head; {
	case w.last.Seq < head.Seq:
		w.problem(Problem{Kind: ProblemRemoved, Seq: w.last.Seq + 1, Count: head.Seq - w.last.Seq, Message: fmt.Sprintf("%d records from %d on were removed: the newest was %d", head.Seq-w.last.Seq, w.last.Seq+1, head.Seq)})
	case w.last.Seq > head.Seq:
		w.problem(Problem{Kind: ProblemInserted, Seq: head.Seq + 1, Count: w.last.Seq - head.Seq, Message: fmt.Sprintf("%d records after %d, the newest that the log wrote, were put there", w.last.Seq-head.Seq, head.Seq)})
	case w.last.Hash != head.Hash:
		w.problem(Problem{Kind: ProblemHead, Seq: head.Seq, ID: w.previous, Message: fmt.Sprintf("the newest record %d (%s) does not have the hash that was noted beside the chain", head.Seq, w.previous)})
	}
	for _, noted := range w.noted {
		if noted.Seq > w.last.Seq {
			w.problem(Problem{Kind: ProblemHead, Seq: noted.Seq, Message: fmt.Sprintf("record %d, whose hash was noted, is not there: the chain ends at %d", noted.Seq, w.last.Seq)})
		}
	}
	switch anchor := w.chain.anchor; {
	case w.prune == nil && anchor.Seq > 0:
		w.problem(Problem{Kind: ProblemAnchor, Seq: anchor.Seq, Message: fmt.Sprintf("the chain begins after record %d, and no record says that retention removed those before", anchor.Seq)})
	case w.prune != nil && (w.prune.Through != anchor.Seq || w.prune.Hash != anchor.Hash):
		w.problem(Problem{Kind: ProblemAnchor, Seq: anchor.Seq, Message: fmt.Sprintf("the chain begins after record %d, and retention recorded that it removed those up to %d", anchor.Seq, w.prune.Through)})
	}
}

// checkForeign finds rows that are in no chain.
func (w *walk) checkForeign(ctx context.Context) error {
	ids, err := columnOf[any](ctx, w.db, "SELECT id FROM audit_events WHERE typeof(seq) <> 'integer' LIMIT 10000")
	if err != nil {
		return err
	}
	for _, id := range ids {
		w.problem(Problem{Kind: ProblemInserted, ID: text(id), Message: fmt.Sprintf("record %s has no place in the chain: another program wrote it", text(id))})
	}
	return nil
}

// checkLists compares the lists with what the newest record about them says they were.
func (w *walk) checkLists(ctx context.Context) error {
	now, err := listsHash(ctx, w.db)
	if err != nil {
		return err
	}
	if w.lists == "" {
		w.lists = emptyLists()
	}
	if now != w.lists {
		w.problem(Problem{Kind: ProblemLists, Message: "the block and allow lists are not what they were after the last recorded change"})
	}
	return nil
}

// checkFile asks SQLite, whose indexes led the walk, about the file.
func (w *walk) checkFile(ctx context.Context) error {
	lines, err := columnOf[string](ctx, w.db, "PRAGMA integrity_check(10)")
	if err != nil {
		return err
	}
	for _, line := range lines {
		if line != "ok" {
			w.problem(Problem{Kind: ProblemDamaged, Message: "the database is damaged: " + line})
		}
	}
	return nil
}
