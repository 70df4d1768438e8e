package records

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Reason says why an event of a log is not among its records.
type Reason string

// The reasons.
const (
	SkippedOther   Reason = "other"    // it is no decision, such as another line on a console
	SkippedQuery   Reason = "query"    // it is a query, which asks for no path
	SkippedInvalid Reason = "invalid"  // it is not JSON, or no event
	SkippedTooLong Reason = "too_long" // it has more than 16 MiB
)

// Skipped is an event that is not a record. Reading goes on after it.
type Skipped struct {
	Line   int // where it begins, from 1; of a compressed log: once unpacked
	Reason Reason
	Err    error // nil: the reason says all
}

// Error says which line, and why.
func (s *Skipped) Error() string {
	if s.Err != nil {
		return fmt.Sprintf("line %d: %s: %s", s.Line, s.Reason, s.Err)
	}
	return fmt.Sprintf("line %d: %s", s.Line, s.Reason)
}

// Unwrap returns what was wrong.
func (s *Skipped) Unwrap() error { return s.Err }

// Scan reads a decision log: of this program or of OPA; from a file, a console with its other lines, or as it is uploaded,
// which is an array; plain or compressed by gzip. It holds one event at a time. An error is [*Skipped], and more may
// follow; or the last, and in's.
func Scan(in io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		plain, err := unpacked(in)
		if err != nil {
			yield(Record{}, err)
			return
		}
		objects := &objects{in: plain, line: 1}
		for {
			text, err := objects.next()
			if errors.Is(err, io.EOF) {
				return
			}
			var r Record
			if err == nil {
				r, err = recordOf(text, objects.begun)
			}
			if !yield(r, err) || err != nil && !errors.As(err, new(*Skipped)) {
				return
			}
		}
	}
}

func unpacked(in io.Reader) (*bufio.Reader, error) {
	const bufferBytes = 64 << 10
	plain := bufio.NewReaderSize(in, bufferBytes)
	if begin, err := plain.Peek(2); err != nil || !bytes.Equal(begin, []byte{0x1f, 0x8b}) {
		return plain, nil //nolint:nilerr // whoever reads on gets the error
	}
	unzipped, err := gzip.NewReader(plain)
	if err != nil {
		return nil, fmt.Errorf("unpack the log: %w", err)
	}
	return bufio.NewReaderSize(unzipped, bufferBytes), nil
}

func recordOf(text []byte, line int) (Record, error) {
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		return Record{}, &Skipped{Line: line, Reason: SkippedInvalid, Err: err}
	}
	r, why := e.record()
	if why != "" {
		return Record{}, &Skipped{Line: line, Reason: why}
	}
	if r.Shape == "" {
		r.Shape = ShapeOf(r.Input)
	}
	return r, nil
}

// Log is what [Read] found.
type Log struct {
	Snapshot
	Events  int            // decisions that the log holds
	Skipped map[Reason]int // what else it holds; nil: nothing
}

// Read reads a decision log as [Scan] does, and keeps what a [Store] with these bounds keeps of it. The error is in's: what
// was read before it is in the answer.
func Read(in io.Reader, bounds Bounds) (Log, error) {
	var log Log
	store := NewStore(bounds, nil)
	for r, err := range Scan(in) {
		var skipped *Skipped
		switch {
		case errors.As(err, &skipped):
			if log.Skipped == nil {
				log.Skipped = map[Reason]int{}
			}
			log.Skipped[skipped.Reason]++
		case err != nil:
			log.Snapshot = store.Snapshot()
			return log, err
		default:
			log.Events++
			store.Add(r)
		}
	}
	log.Snapshot = store.Snapshot()
	return log, nil
}

// maxEventBytes bounds an event: a body of a request has at most 1 MiB, and a result 10.
const maxEventBytes = 16 << 20

// objects splits a text into its objects: those of lines, of an array, or simply one after another.
type objects struct {
	in    *bufio.Reader
	text  []byte
	line  int
	begun int // the line on which the text begins
}

// next returns the text of the next object, until the next call. What is none, up to the end of its line, is [*Skipped].
func (o *objects) next() ([]byte, error) {
	for {
		c, err := o.in.ReadByte()
		if err != nil {
			return nil, readError(err)
		}
		switch c {
		case '\n':
			o.line++
		case ' ', '\t', '\r', '[', ']', ',':
		case '{':
			return o.object()
		default:
			o.begun = o.line
			return nil, o.toEndOfLine(SkippedOther)
		}
	}
}

func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("read the log: %w", err)
}

// object reads an object whose brace has been read.
func (o *objects) object() ([]byte, error) {
	o.text, o.begun = append(o.text[:0], '{'), o.line
	depth, quoted, escaped := 1, false, false
	for depth > 0 {
		c, err := o.in.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil, &Skipped{Line: o.begun, Reason: SkippedInvalid, Err: io.ErrUnexpectedEOF}
		}
		if err != nil {
			return nil, readError(err)
		}
		if c == '\n' {
			o.line++
			if quoted || o.anotherBegins() { // a line that was cut short, as by a crash
				return nil, &Skipped{Line: o.begun, Reason: SkippedInvalid, Err: errCutShort}
			}
		}
		if o.text = append(o.text, c); len(o.text) > maxEventBytes {
			return nil, o.toEndOfLine(SkippedTooLong)
		}
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = quoted
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return o.text, nil
}

var errCutShort = errors.New("the line ends within an object")

// anotherBegins reports whether the line that follows begins with an object: those within others are indented.
func (o *objects) anotherBegins() bool {
	next, err := o.in.Peek(1)
	return err == nil && next[0] == '{'
}

// toEndOfLine leaves out the rest of the line.
func (o *objects) toEndOfLine(why Reason) error {
	for {
		c, err := o.in.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				break
			}
			return readError(err)
		}
		if c == '\n' {
			o.line++
			break
		}
	}
	o.text = nil // it may be large
	return &Skipped{Line: o.begun, Reason: why}
}
