package audit

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Imported says what became of an [Import].
type Imported struct {
	Source  string    `json:"source"`
	Blocked int       `json:"blocked"` // targets that were put on the block list
	Allowed int       `json:"allowed"`
	Kept    int       `json:"kept"`     // targets whose entries here decide already
	LeftOut []LeftOut `json:"left_out"` // what was not taken over, and why
}

// takeIn takes over the lists of the original gateway, at the first start that finds them. Until it has, admission must not
// decide: what is blocked there would not be here.
func (l *Log) takeIn(ctx context.Context, s *store) error {
	if l.cfg.Original == "" || l.distrusts() {
		return nil
	}
	done, err := importMark(ctx, s.write)
	if err != nil {
		return err
	}
	if done != "" { // what it holds now is offered, not needed
		l.imported = done
		if im, err := readOriginal(ctx, l.cfg.Original); err == nil && im != nil && im.sha256 != done {
			l.offer = im
		}
		return nil
	}
	l.wait(l.takeInNow(ctx, s))
	return nil
}

func (l *Log) takeInNow(ctx context.Context, s *store) error {
	im, err := readOriginal(ctx, l.cfg.Original)
	if err != nil {
		return fmt.Errorf("the block list of the original gateway could not be taken over: %w: repair it, or, to go on without it, move it away and start again", err)
	}
	if im == nil {
		return nil
	}
	if err := l.importFirst(ctx, s, im); err != nil {
		return fmt.Errorf("the block list of the original gateway, %s, could not be taken over: %w", l.cfg.Original, explain(err))
	}
	return nil
}

// importMark returns the hash of what was taken over; empty if nothing was.
func importMark(ctx context.Context, db querier) (string, error) {
	there, err := columnsOf(ctx, db, "list_import")
	if err != nil || len(there) == 0 { // a log of version 2
		return "", err
	}
	marks, err := columnOf[string](ctx, db, "SELECT sha256 FROM list_import")
	if err != nil || len(marks) == 0 {
		return "", err
	}
	return marks[0], nil
}

// readOriginal returns nil where there is nothing to take over: no file, or a database without lists.
func readOriginal(ctx context.Context, path string) (*Import, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	o, err := OpenOriginal(ctx, path)
	if err != nil {
		return nil, err
	}
	// Versions from before the table had two others, from which newer ones fill it.
	tables, err := columnOf[int](ctx, o.db, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name IN ('actions', 'block_list', 'allow_list')")
	if err != nil || len(tables) == 0 {
		return nil, errors.Join(explainAt("read", path, err), o.Close())
	}
	im, err := o.Lists(ctx)
	return &im, errors.Join(err, o.Close())
}

// wait sets why the lists do not decide until the original's are taken over; nil ends that.
func (l *Log) wait(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missing = err
	if err != nil {
		l.lists.Store(nil)
	}
}

func (l *Log) distrusts() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.distrusted != nil
}

func (l *Log) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing != nil
}

// await is takeIn where the log cannot be written yet. db is the log, read-only; nil if there is none.
func (l *Log) await(ctx context.Context, db querier) error {
	if _, err := os.Lstat(l.cfg.Original); l.cfg.Original == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if db != nil {
		done, err := importMark(ctx, db)
		if err != nil || done != "" {
			return err
		}
	}
	l.wait(fmt.Errorf("the block list of the original gateway, %s, could not be taken over yet: %w", l.cfg.Original, l.err))
	return nil
}

// retryImport takes the lists over as soon as that works.
func (l *Log) retryImport(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if s := l.store.Load(); s != nil && l.waiting() {
		if err := l.takeIn(ctx, s); err != nil {
			l.wait(fmt.Errorf("the block list of the original gateway, %s, could not be taken over: %w", l.cfg.Original, explain(err)))
		}
	}
	l.reportImport()
}

// reportImport calls [Config.Imported] and sounds the alarms of an import, once.
func (l *Log) reportImport() {
	if l.done == nil {
		return
	}
	done, alarms := *l.done, l.alarms
	l.done, l.alarms = nil, nil
	if l.cfg.Imported != nil {
		l.cfg.Imported(done)
	}
	l.sound(alarms)
}

// Offered returns the entries of the original gateway's lists that New found and the lists here do not have, where the
// original's were taken over before. The import is not repeated by itself: what was taken off a list here would be back.
func (l *Log) Offered() []Entry {
	lists := l.lists.Load()
	if l.offer == nil || lists == nil {
		return nil
	}
	return l.offer.Unknown(lists)
}

// Import takes lists over as [New] does those of the original gateway, in one transaction with its records. After an error
// nothing has changed, unless the error says that the outcome is unknown.
func (l *Log) Import(ctx context.Context, im Import, actor, requestID string) (done Imported, err error) {
	if err := im.Validate(); err != nil {
		return Imported{}, err
	}
	im.Entries = slices.Clone(im.Entries)
	for i := range im.Entries {
		im.Entries[i].Actor = cmp.Or(actor, DefaultActor)
		if im.Entries[i].CreatedAt.IsZero() {
			im.Entries[i].CreatedAt = parseTime(timeText(time.Now()))
		}
	}
	err = l.change(ctx, "import entries to", "block or allow", func(ctx context.Context, a *appender) (err error) {
		done, err = l.importInto(ctx, a, im, actor, requestID, &written{})
		return err
	})
	return done, err
}

// importFirst takes im over in one transaction with the mark that it was. Only New and Run call it.
func (l *Log) importFirst(ctx context.Context, s *store, im *Import) error {
	w := &written{declined: map[*item]error{}}
	var done Imported
	err := inTx(ctx, s.write, func(tx *sql.Tx) error {
		c, err := readChain(ctx, tx)
		if err != nil {
			return err
		}
		a := &appender{tx, c.head}
		if done, err = l.importInto(ctx, a, *im, ImportActor, "", w); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO list_import VALUES (1, ?, ?)", timeText(time.Now()), im.sha256); err != nil {
			return err
		}
		if w.lists, err = readLists(ctx, tx); err != nil {
			return err
		}
		w.head, w.chainID, w.records = a.head, c.id, a.head.Seq-c.head.Seq
		return a.saveHead(ctx)
	})
	if err != nil {
		return err
	}
	l.imported, l.alarms, l.done = im.sha256, append(l.alarms, w.alarms...), &done
	l.lists.Store(w.lists)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.health.Head, l.health.ChainID = w.head, w.chainID
	l.health.Written += uint64(w.records) // not negative
	return nil
}

// importInto adds the entries of im, each with its record, and a record of the whole. It only tightens: a target that is
// blocked here stays so, and one that is blocked there and allowed here is blocked.
func (l *Log) importInto(ctx context.Context, a *appender, im Import, actor, requestID string, w *written) (Imported, error) {
	done := Imported{Source: im.Source, LeftOut: append([]LeftOut{}, im.LeftOut...)}
	for _, e := range im.Entries {
		changed, why, err := l.importEntry(ctx, a, e, im.Source, actor, requestID)
		switch {
		case err != nil:
			return Imported{}, err
		case why != "":
			done.LeftOut = append(done.LeftOut, LeftOut{List: e.List, Target: e.name(), Why: why})
		case !changed:
			done.Kept++
		case e.List == ListBlock:
			done.Blocked++
		default:
			done.Allowed++
		}
	}
	for _, left := range done.LeftOut {
		r := Record{
			Action: ActionListImport, Actor: actor, Target: left.Target, Outcome: OutcomeRefused, RequestID: requestID,
			Message: "not taken over: " + left.Why, Details: JSON(map[string]any{"source": im.Source, "list": left.List}),
		}
		if left.List == ListBlock {
			r.Severity = SeverityHigh
		}
		v, err := prepare(r, l.cfg.RunID)
		if err != nil {
			return Imported{}, err
		}
		if left.List == ListBlock {
			w.alarm(&v)
		}
		if err := a.add(ctx, &v); err != nil {
			return Imported{}, err
		}
	}
	return done, l.recordChange(ctx, a, Record{
		Action: ActionListImport, Actor: actor, Target: im.Source, RequestID: requestID,
		Message: fmt.Sprintf("the lists of %s were taken over: %d blocked, %d allowed, %d as they were, %d left out",
			filepath.Base(im.Source), done.Blocked, done.Allowed, done.Kept, len(done.LeftOut)),
	}, map[string]any{"source": im.Source, "blocked": done.Blocked, "allowed": done.Allowed, "kept": done.Kept, "left_out": len(done.LeftOut)})
}

// importEntry adds one entry; why says why not.
func (l *Log) importEntry(ctx context.Context, a *appender, e Entry, source, actor, requestID string) (changed bool, why string, err error) {
	own, other, err := findBoth(ctx, a.tx, e)
	if err != nil || own != nil {
		return false, "", err
	}
	if other != nil && e.List == ListAllow {
		return false, "it is blocked here", nil
	}
	details := map[string]any{
		"list": e.List, "target_type": e.TargetType, "target_name": e.TargetName, "reason": e.Reason, "source_path": e.SourcePath,
		"source": source, "since": e.CreatedAt,
	}
	if other != nil {
		details["replaced"] = other
		if err := deleteEntry(ctx, a.tx, *other); err != nil {
			return false, "", err
		}
	}
	if err := insertEntry(ctx, a.tx, e); err != nil {
		return false, "", err
	}
	v, err := prepare(Record{
		Action: listAction(e.List), Actor: actor, Target: e.name(), Message: e.Reason, RequestID: requestID, Details: JSON(details),
	}, l.cfg.RunID)
	if err != nil {
		return false, "", err
	}
	return true, "", a.add(ctx, &v)
}
