package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// witness is a small file next to the database that says which chain it was, how far it had come and what the lists were.
// With it the next start notices that the database was removed, replaced or put back to an older state in the meantime.
// It may be older than the database, never newer: it is written after the records that it names.
type witness struct {
	ChainID string `json:"chain_id"`
	Head    Head   `json:"head"`
	Lists   string `json:"lists_sha256"`
	Entries int    `json:"list_entries"`
}

const (
	witnessRecords = 64          // the file is written again after this many records,
	witnessEvery   = time.Minute // or when it is older than this and there are new ones
)

// witnessPath is a name that no pattern for the database's own files matches: who removes those, by rm audit.db*,
// leaves it.
func witnessPath(database string) string {
	name := filepath.Base(database)
	return filepath.Join(filepath.Dir(database), "head-of-"+strings.TrimSuffix(name, filepath.Ext(name))+".json")
}

// readWitness returns nil if there is no file.
func readWitness(database string) (*witness, error) {
	text, err := os.ReadFile(witnessPath(database)) //nolint:gosec // a file of our own
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	w := &witness{}
	if err == nil {
		err = json.Unmarshal(text, w)
	}
	if err == nil && (w.ChainID == "" || w.Head.Hash == "") {
		err = errors.New("it names no chain")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", witnessPath(database), err)
	}
	return w, nil
}

// write replaces the file, so that it holds the old text or the new one after a loss of power, too.
func (w *witness) write(database string) error {
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	path := witnessPath(database)
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone after the rename
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// disagrees says how the database differs from what the witness saw; empty if it is the same one, gone on.
func (w *witness) disagrees(ctx context.Context, db querier, c chain) (string, error) {
	if c.id != w.ChainID {
		if c.head.Seq == 0 {
			return fmt.Sprintf("the database was removed: it had %d records", w.Head.Seq), nil
		}
		return fmt.Sprintf("the database was replaced by another one: it had %d records of chain %s, and has chain %s", w.Head.Seq, w.ChainID, c.id), nil
	}
	there, err := isAncestor(ctx, db, c, w.Head)
	if err != nil || there {
		return "", err
	}
	return fmt.Sprintf("the database was put back or cut off: record %d is missing or another one, and the newest is %d", w.Head.Seq, c.head.Seq), nil
}

// isAncestor reports whether the chain contains the record of a head, or did before retention removed it.
func isAncestor(ctx context.Context, db querier, c chain, head Head) (bool, error) {
	switch {
	case head.Seq > c.head.Seq:
		return false, nil
	case head.Seq < c.anchor.Seq:
		return true, nil // it can no longer be read
	case head.Seq == c.anchor.Seq:
		return head.Hash == c.anchor.Hash, nil
	}
	found, err := columnOf[string](ctx, db, "SELECT hash FROM audit_events WHERE seq = ?", head.Seq)
	return len(found) == 1 && found[0] == head.Hash, err
}

// recordedLists returns the hash of the lists in the newest record that has one.
func recordedLists(ctx context.Context, db querier) (string, error) {
	// With + SQLite uses the index of action: there are few of these records.
	const hash = "CASE WHEN json_valid(structured_json) THEN json_extract(structured_json, '$." + listsHashKey + "') END"
	const newest = "SELECT " + hash + " FROM audit_events WHERE action IN (?, ?, ?, ?, ?, ?) AND typeof(seq) = 'integer' AND " + hash + " IS NOT NULL " +
		"ORDER BY +seq DESC LIMIT 1"
	found, err := columnOf[any](ctx, db, newest, ActionListBlock, ActionListAllow, ActionListRemove, ActionListImport, ActionPrune, ActionReplaced)
	if err != nil {
		return "", err
	}
	if len(found) == 0 || text(found[0]) == "" {
		return emptyLists(), nil
	}
	return text(found[0]), nil
}

// distrust returns why the lists of the database must not decide, or nil. Either they are not those that the witness saw, or
// they were changed without a record.
func distrust(ctx context.Context, db querier, database string, w *witness, problem string) error {
	now, err := listsHash(ctx, db)
	if err != nil {
		return err
	}
	recorded, err := recordedLists(ctx, db)
	if err != nil {
		return err
	}
	const accept = "put the right %s back and start again; or, to accept the lists as they are now, remove %s and start again"
	switch advice := fmt.Sprintf(accept, filepath.Base(database), witnessPath(database)); {
	case problem != "" && now != w.Lists:
		return fmt.Errorf("%s, while the sidecar was stopped, and the block and allow lists with it (%d entries): %s", problem, w.Entries, advice)
	case now != recorded:
		return fmt.Errorf("the block and allow lists were changed without a record: %s", advice)
	}
	return nil
}

// saveWitness writes the witness if enough has happened since it was written last. While the lists are not trusted it
// stays, so that the next start does not trust them either.
func (l *Log) saveWitness(ctx context.Context, s *store, now bool) {
	l.mu.Lock()
	w, distrusted := witness{ChainID: l.health.ChainID, Head: l.health.Head}, l.distrusted != nil
	l.mu.Unlock()
	behind := w.Head.Seq - l.witnessed.Seq
	if distrusted || w.ChainID == "" || w.Head == l.witnessed || !now && behind < witnessRecords && time.Since(l.witnessedAt) < witnessEvery {
		return
	}
	var err error
	if lists := l.lists.Load(); lists != nil {
		w.Entries = len(lists.Block) + len(lists.Allow)
	}
	if w.Lists, err = listsHash(ctx, s.read); err == nil {
		err = w.write(s.path)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.health.WitnessErr = oneLine(fmt.Errorf("write %s: %w", witnessPath(s.path), err))
		return
	}
	l.health.WitnessErr = ""
	l.witnessed, l.witnessedAt = w.Head, time.Now()
}
