package record

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// The errors of [Open] wrap one of these.
var (
	ErrUnsigned  = errors.New("no trusted key signed it")
	ErrSignature = errors.New("the signature is wrong")
	ErrFormat    = errors.New("it is no record")
	ErrChannel   = errors.New("it is for another channel")
	ErrExpired   = errors.New("it has expired")
	ErrFuture    = errors.New("its epoch is too far ahead")
)

// MaxAhead is how far an epoch may be ahead of an agent's clock: one of next year would end a channel for good.
const MaxAhead = 24 * time.Hour

// MaxNote bounds the signed part of a message, in bytes.
const MaxNote = 256 << 10

// releaseNote is what a release key says of a revision.
type releaseNote struct {
	V        int     `json:"v"`
	Channel  string  `json:"channel"`
	Release  Release `json:"release"`
	Released string  `json:"released"` // RFC 3339
}

// SealRelease signs that agents of a channel may serve a release.
func SealRelease(channel string, of Release, now time.Time, signers ...note.Signer) (string, error) {
	signed, err := sign(releaseNote{Version, channel, of, now.UTC().Format(time.RFC3339)}, signers)
	return string(signed), err
}

// Seal signs a record, and puts a delta from its base to its target behind it, which may be empty.
func Seal(r *Record, delta []byte, signers ...note.Signer) ([]byte, error) {
	signed, err := sign(r, signers)
	if err != nil {
		return nil, err
	}
	if len(signed) > MaxNote {
		return nil, fmt.Errorf("the record of channel %s has %d bytes, and at most %d are allowed", r.Channel, len(signed), MaxNote)
	}
	m := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(signed)+len(delta)), uint32(len(signed))) //nolint:gosec // at most MaxNote
	return append(append(m, signed...), delta...), nil
}

func sign(what any, signers []note.Signer) ([]byte, error) {
	if len(signers) == 0 {
		return nil, errors.New("there is no key to sign with")
	}
	text, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: string(text) + "\n"}, signers...)
}

// Opened is a record whose signatures were verified.
type Opened struct {
	Record
	Delta []byte   // from the base to the target; empty: it has to be fetched
	By    []Signer // who signed it, of those that are trusted
}

// Signer is a key that signed.
type Signer struct {
	Name string
	Role Role
}

// Open verifies a message of a channel. A message that only stage keys signed has to carry a note by a release key for
// its target, and for its base if it has one.
func Open(message []byte, channel string, keys *Keys, now time.Time) (*Opened, error) {
	o, err := OpenKept(message, channel, keys)
	if err != nil {
		return nil, err
	}
	if ahead := NextEpoch(0, now.Add(MaxAhead)); o.Epoch > ahead {
		return nil, fmt.Errorf("%w: it is from %s, and this clock says %s", ErrFuture,
			time.UnixMilli(int64(min(o.Epoch, 1<<52))).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)) //nolint:gosec // bounded
	}
	if o.Expired(now) {
		return nil, fmt.Errorf("%w: at %s", ErrExpired, o.Expires.UTC().Format(time.RFC3339))
	}
	return o, nil
}

// Expired reports whether a record has expired.
func (r *Record) Expired(now time.Time) bool { return !r.Expires.IsZero() && now.After(r.Expires) }

// OpenKept is as Open for a message that was opened before and kept: whether it has expired is not asked.
func OpenKept(message []byte, channel string, keys *Keys) (*Opened, error) {
	signed, delta, err := split(message)
	if err != nil {
		return nil, err
	}
	o := &Opened{Delta: delta}
	if o.By, err = keys.open(signed, &o.Record); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if o.Channel != channel {
		return nil, fmt.Errorf("%w: %q, and %q was expected", ErrChannel, o.Channel, channel)
	}
	if slices.ContainsFunc(o.By, func(s Signer) bool { return s.Role == RoleRelease }) {
		return o, nil
	}
	for _, release := range []Release{o.Target, o.Base} {
		if release.Revision != "" && !keys.released(o.Releases, channel, release) {
			return nil, fmt.Errorf("%w: a stage key signed the record, and no release key signed %s", ErrUnsigned, release.Revision)
		}
	}
	return o, nil
}

// WithoutDelta is a message without the delta behind its record.
func WithoutDelta(message []byte) []byte {
	signed, _, err := split(message)
	if err != nil {
		return message
	}
	return message[:4+len(signed)]
}

func split(message []byte) (signed, delta []byte, err error) {
	if len(message) < 4 {
		return nil, nil, fmt.Errorf("%w: it has %d bytes", ErrFormat, len(message))
	}
	n := binary.BigEndian.Uint32(message)
	if n > MaxNote || int(n) > len(message)-4 {
		return nil, nil, fmt.Errorf("%w: it says that its first %d bytes are signed, and has %d", ErrFormat, n, len(message)-4)
	}
	return message[4 : 4+n], message[4+n:], nil
}

// open verifies a note and decodes its text.
func (k *Keys) open(signed []byte, into any) ([]Signer, error) {
	n, err := note.Open(signed, k)
	var wrong *note.InvalidSignatureError
	var unknown *note.UnverifiedNoteError
	switch {
	case errors.As(err, &wrong):
		return nil, fmt.Errorf("%w: the one of key %s", ErrSignature, wrong.Name)
	case errors.As(err, &unknown):
		return nil, fmt.Errorf("%w: %s", ErrUnsigned, namesOf(unknown.Note.UnverifiedSigs))
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := json.Unmarshal([]byte(n.Text), into); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	var by []Signer
	for _, s := range n.Sigs {
		by = append(by, Signer{s.Name, k.roles[keyID{s.Name, s.Hash}]})
	}
	return by, nil
}

func namesOf(signatures []note.Signature) string {
	var names []string
	for _, s := range signatures {
		names = append(names, s.Name)
	}
	return "signed by " + strings.Join(names, ", ")
}

// released reports whether a release key signed that a release may serve.
func (k *Keys) released(notes []string, channel string, release Release) bool {
	return slices.ContainsFunc(notes, func(text string) bool {
		var said releaseNote
		by, err := k.open([]byte(text), &said)
		return err == nil && said.V == Version && said.Channel == channel && said.Release.Equal(release) &&
			slices.ContainsFunc(by, func(s Signer) bool { return s.Role == RoleRelease })
	})
}

// Revisions lists the revisions that a message names, signed or not: what it names is kept. It is nil if the message is none.
func Revisions(message []byte) []string {
	signed, _, err := split(message)
	if err != nil {
		return nil
	}
	line, _, _ := bytes.Cut(signed, []byte{'\n'})
	var r Record
	if json.Unmarshal(line, &r) != nil {
		return nil
	}
	return append([]string{r.Target.Revision, r.Base.Revision}, r.Chain...)
}
