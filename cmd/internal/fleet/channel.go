package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"
)

// Now is what a channel says, as the leader of its stream has it.
type Now struct {
	Channel  string
	Sequence uint64    // of the record in the stream; 0: there has never been one
	Time     time.Time // when the broker took it
	Message  []byte    // nil: there is none

	// Opened is nil if there is no record, or none that the given keys trust: Err then says why.
	Opened *record.Opened
	Err    error

	keys *record.Keys // with which it was opened
}

// Record is what the channel says, or nil.
func (n Now) Record() *record.Record {
	if n.Opened == nil {
		return nil
	}
	return &n.Opened.Record
}

// Beaten is the error of [Link.Move] when somebody else was first. Now is what the channel says instead.
type Beaten struct{ Now Now }

func (e *Beaten) Error() string {
	r := e.Now.Record()
	if r == nil && e.Now.Err == nil {
		return fmt.Sprintf("the channel %s has no release", e.Now.Channel)
	}
	if r == nil {
		return fmt.Sprintf("somebody else moved the channel %s first: %v", e.Now.Channel, e.Now.Err)
	}
	return fmt.Sprintf("%s was first: the channel %s says %s since %s, epoch %d", r.By, r.Channel, r.Target.Revision,
		r.Time.Local().Format(time.DateTime), r.Epoch)
}

// Now reads a channel from the leader. keys say which records are trusted.
func (l *Link) Now(ctx context.Context, channel string, keys *record.Keys) (Now, error) {
	if err := record.CheckName("the channel", channel); err != nil {
		return Now{}, err
	}
	m, err := l.last(ctx, record.Stream, record.Subject(channel))
	if err != nil {
		return Now{}, fmt.Errorf("channel %s: %w", channel, err)
	}
	return l.now(channel, m, keys), nil
}

func (l *Link) now(channel string, m *stored, keys *record.Keys) Now {
	n := Now{Channel: channel, keys: keys}
	if m == nil {
		return n
	}
	n.Sequence, n.Time = m.Sequence, m.Time
	if bytes.Contains(m.Header, []byte("KV-Operation:")) { // somebody deleted the key
		return n
	}
	n.Message = m.Data
	n.Opened, n.Err = record.Open(m.Data, channel, keys, l.clock())
	return n
}

// Move writes the next record of a channel, if what the channel says is still what after has. It fills in the version, the
// channel, the epoch and the time. If somebody else was first, the error is a [*Beaten].
//
// When Move returns another error, a [*Timeout] say, it is not known whether the record was written.
func (l *Link) Move(ctx context.Context, after Now, next *record.Record, delta []byte, signers ...note.Signer) (Now, error) {
	moved, err := l.draft(after, next, delta, signers...)
	if err != nil {
		return Now{}, err
	}
	what := fmt.Sprintf("whether the record of channel %s was written is not known", after.Channel)
	err = l.again(ctx, what, func(ctx context.Context) (done bool, err error) {
		moved.Sequence, done, err = l.write(ctx, after, moved.Message)
		return done, err
	})
	if err != nil {
		return Now{}, err
	}
	return moved, nil
}

// draft is the message of a record, as it would be written now.
func (l *Link) draft(after Now, next *record.Record, delta []byte, signers ...note.Signer) (Now, error) {
	now := l.clock()
	previous := uint64(0)
	if r := after.Record(); r != nil {
		previous = r.Epoch
	}
	next.V, next.Channel, next.Time = record.Version, after.Channel, now.UTC().Truncate(time.Millisecond)
	next.Epoch = record.NextEpoch(previous, now)
	message, err := record.Seal(next, delta, signers...)
	if err != nil {
		return Now{}, err
	}
	opened := &record.Opened{Record: *next, Delta: delta}
	return Now{Channel: after.Channel, Time: now, Message: message, Opened: opened, keys: after.keys}, nil
}

// write tries once to write a message after what the channel said. On any error the leader is asked: if it holds the message,
// the answer was lost; servers also report conflicts that are none.
func (l *Link) write(ctx context.Context, after Now, message []byte) (sequence uint64, done bool, err error) {
	subject := record.Subject(after.Channel)
	to := subject
	if l.prefix != defaultPrefix { // a domain has subjects of its own for its buckets
		to = l.prefix + "." + subject
	}
	ack, err := l.js.Publish(ctx, to, message, jetstream.WithExpectLastSequencePerSubject(after.Sequence), jetstream.WithRetryAttempts(0))
	if err == nil {
		return ack.Sequence, true, nil
	}
	if final(err) {
		return 0, true, err
	}
	read, cancel := context.WithTimeout(context.WithoutCancel(ctx), firstTimeout) // what is left of ctx may be nothing
	defer cancel()
	m, readErr := l.lastOnce(read, record.Stream, subject)
	switch {
	case readErr != nil:
		return 0, final(readErr), errors.Join(err, readErr)
	case m == nil || m.Sequence == after.Sequence:
		return 0, false, err
	case bytes.Equal(m.Data, message):
		return m.Sequence, true, nil
	}
	// Perhaps ours was first, and somebody else's is after it.
	first, readErr := l.nextOnce(read, record.Stream, subject, after.Sequence+1)
	switch {
	case readErr != nil || first == nil:
		return 0, false, errors.Join(err, readErr)
	case bytes.Equal(first.Data, message):
		return first.Sequence, true, nil
	default:
		return 0, true, &Beaten{l.now(after.Channel, m, after.keys)}
	}
}

// final reports whether an error says that to try again is of no use.
func final(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrPermissionViolation) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, errNoStream)
}

// stored is a message as JetStream's API has it.
type stored struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Header   []byte    `json:"hdrs"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// last is the last message of a subject, nil if there is none. The leader is asked: any replica may answer a direct get, also
// one that does not have the newest yet.
func (l *Link) last(ctx context.Context, stream, subject string) (m *stored, err error) {
	err = l.again(ctx, "the leader of stream "+stream+" does not answer", func(ctx context.Context) (bool, error) {
		m, err = l.lastOnce(ctx, stream, subject)
		return err == nil || final(err), err
	})
	return m, err
}

func (l *Link) lastOnce(ctx context.Context, stream, subject string) (*stored, error) {
	return l.get(ctx, stream, map[string]any{"last_by_subj": subject})
}

func (l *Link) nextOnce(ctx context.Context, stream, subject string, from uint64) (*stored, error) {
	return l.get(ctx, stream, map[string]any{"next_by_subj": subject, "seq": from})
}

var errNoStream = errors.New("there is no such stream: fleet init makes it")

func (l *Link) get(ctx context.Context, stream string, what map[string]any) (*stored, error) {
	request, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	answer, err := l.nc.RequestWithContext(ctx, l.prefix+".STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	var got struct {
		Error   *jetstream.APIError `json:"error"`
		Message *stored             `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &got); err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	switch {
	case got.Error == nil:
		return got.Message, nil
	case got.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case got.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return nil, fmt.Errorf("stream %s: %w", stream, errNoStream)
	default:
		return nil, fmt.Errorf("stream %s: %w", stream, got.Error)
	}
}
