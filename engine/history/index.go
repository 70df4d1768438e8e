package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"defenseclaw/engine"
)

// indexName is the file of the index; a damaged one is put aside under the other name.
const (
	indexName        = "index.jsonl"
	damagedIndexName = "index.damaged.jsonl"
)

// index is the file in which a store notes what served, one change a line, and what it holds.
type index struct {
	writing sync.Mutex // held while the file changes; guards dirty
	dirty   bool       // the file may end in half a line, or is not there: it is written anew

	mu      sync.Mutex                    // guards the fields below, for a moment at a time
	ours    bool                          // this process writes: what is in memory is the truth
	records []Record                      // the oldest first; Kept is not set
	hashes  []*hashes                     // the oldest first
	waiting map[uint64]*engine.Generation // whose entries are not written yet, by number
}

// line is one line of the file as JSON: a change to one record, and its checksum.
type line struct {
	CRC  uint32          `json:"crc"`
	Body json.RawMessage `json:"is"`
}

type body struct {
	Seq    uint64      `json:"seq"`
	Record *recordLine `json:"record,omitempty"` // it begins
	Until  *time.Time  `json:"until,omitempty"`  // it ended; zero: it serves again
	Hashes *hashes     `json:"hashes,omitempty"` // what it changed
	Review *Reviewed   `json:"review,omitempty"` // what came of its review
}

type recordLine struct {
	Revision   string    `json:"revision"`
	Root       string    `json:"root"`
	Generation uint64    `json:"generation"`
	Version    string    `json:"version,omitempty"`
	From       time.Time `json:"from"`
	Trigger    string    `json:"trigger,omitempty"`
	Actor      string    `json:"actor,omitempty"`
	Changed    []string  `json:"changed,omitempty"`
	More       int       `json:"more,omitempty"`
	Packages   []string  `json:"packages,omitempty"`
	Order      *Order    `json:"order,omitempty"`
	Phases     []Phase   `json:"phases,omitempty"`
	File       string    `json:"file"`
}

func (r Record) line() body {
	return body{Seq: r.Seq, Record: &recordLine{
		r.Revision, r.Root, r.Generation, r.Version, r.ServedFrom, r.Trigger, r.Actor, r.Changed, r.More, r.Packages, r.Order, r.Phases, r.File,
	}}
}

func (l *recordLine) record(seq uint64) Record {
	return Record{
		Seq: seq, Revision: l.Revision, Root: l.Root, Generation: l.Generation, Version: l.Version, ServedFrom: l.From.UTC(),
		Trigger: l.Trigger, Actor: l.Actor, Changed: l.Changed, More: l.More, Packages: l.Packages, Order: l.Order, Phases: l.Phases, File: l.File,
	}
}

func encode(bodies ...body) ([]byte, error) {
	var text bytes.Buffer
	for _, b := range bodies {
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		whole, err := json.Marshal(line{crc32.ChecksumIEEE(raw), raw})
		if err != nil {
			return nil, err
		}
		text.Write(whole)
		text.WriteByte('\n')
	}
	return text.Bytes(), nil
}

// contents is what a file held.
type contents struct {
	records []Record
	hashes  []*hashes
	there   bool
	torn    bool // it ends in half a line: the process that wrote it was killed
	bad     int  // lines that are not what was written
}

// readIndex reads as much as is sound. Its error is one of reading, not of what was read.
func readIndex(path string) (contents, error) {
	raw, err := readRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return contents{}, nil
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		return contents{}, err
	}
	c := contents{there: true}
	if err != nil { // it is a directory or a pipe
		c.bad++
	}
	for len(raw) > 0 {
		text, rest, ended := bytes.Cut(raw, []byte{'\n'})
		raw = rest
		b, ok := decode(text)
		switch {
		case !ended: // even where it is whole: what follows must begin a line
			c.torn = true
		case !ok:
			c.bad++
		default:
			c.apply(b)
		}
	}
	slices.SortStableFunc(c.records, bySeq)
	if c.bad > 0 {
		c.hashes = nil // one may be missing: the next are all
	}
	return c, nil
}

func decode(text []byte) (body, bool) {
	var l line
	var b body
	if json.Unmarshal(text, &l) != nil || crc32.ChecksumIEEE(l.Body) != l.CRC || json.Unmarshal(l.Body, &b) != nil {
		return body{}, false
	}
	return b, b.Seq > 0
}

func (c *contents) apply(b body) {
	i := len(c.records) - 1 // most lines are about the newest
	for i >= 0 && c.records[i].Seq != b.Seq {
		i--
	}
	switch {
	case b.Record != nil && i < 0:
		c.records = append(c.records, b.Record.record(b.Seq))
	case b.Until != nil && i >= 0:
		c.records[i].ServedUntil = b.Until.UTC()
	case b.Review != nil && i >= 0:
		c.records[i].Reviewed = b.Review
	case b.Hashes != nil:
		b.Hashes.Seq = b.Seq
		c.hashes = append(c.hashes, b.Hashes)
	}
}

// maxIndexBytes is far more than an index of [maxRecords] grows to.
const maxIndexBytes = 1 << 30

func readRegular(path string) ([]byte, error) {
	in, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	if info, err := in.Stat(); err != nil || info.Size() > maxIndexBytes {
		return nil, errors.Join(fmt.Errorf("%s has more than %d bytes", path, maxIndexBytes), err)
	}
	return os.ReadFile(path) //nolint:gosec // the store's own
}

// Records lists what the index tells, the newest first. In the process that saves it is what was noted so far;
// another one reads the file, or what the entries tell where that is missing or damaged, and writes nothing.
func (s *Store) Records() ([]Record, error) {
	s.index.mu.Lock()
	ours, records, waiting := s.index.ours, slices.Clone(s.index.records), maps.Clone(s.index.waiting)
	s.index.mu.Unlock()
	entries, err := s.Entries()
	if err != nil {
		return nil, err
	}
	if !ours {
		c, err := readIndex(s.indexPath())
		if err != nil {
			return nil, fmt.Errorf("read the index of the history: %w", err)
		}
		s.adopt(&c, entries)
		records = c.records
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name] = true
	}
	for i := range records {
		r := &records[i]
		r.Kept = there[r.File] || waiting[r.Seq] != nil
		if r.ServedUntil.IsZero() && i+1 < len(records) {
			r.ServedUntil = records[i+1].ServedFrom
		}
	}
	slices.Reverse(records)
	return records, nil
}

// Open gives what a record's entry holds, read and verified. The error wraps [ErrSwept] if it is no longer kept, and
// [ErrDamaged] if its content is wrong.
func (s *Store) Open(ctx context.Context, r Record) (Found, error) {
	s.index.mu.Lock()
	g := s.index.waiting[r.Seq]
	s.index.mu.Unlock()
	if g != nil {
		return Found{Entry: s.entry(r.File), Info: infoOf(r, g), FS: treeOf(g)}, nil
	}
	e := s.entry(r.File)
	u, err := e.read(ctx, withBytes, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Found{}, fmt.Errorf("generation %d of the history: %w", r.Seq, ErrSwept)
	case err != nil:
		return Found{}, fmt.Errorf("generation %d of the history, %s: %w", r.Seq, r.File, err)
	case u.info.Revision != r.Revision:
		return Found{}, fmt.Errorf("generation %d of the history, %s: %w: it holds revision %s; %s was expected",
			r.Seq, r.File, ErrDamaged, u.info.Revision, r.Revision)
	}
	return Found{Entry: e, Info: u.info, FS: u.tree()}, nil
}

func (s *Store) entry(name string) Entry {
	e, _ := parseName(name)
	e.Path, e.limits = filepath.Join(s.cfg.Dir, e.Name), s.limits
	return e
}

func (s *Store) indexPath() string { return filepath.Join(s.cfg.Dir, indexName) }
