package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bounds of what a [Reader] keeps, and takes at a time.
const (
	maxAgents = 50_000
	maxAck    = 16 << 10 // bytes; an agent's are a tenth of it
	perBatch  = 256      // acknowledgements: the broker takes none meanwhile

	wholeEvery = 5 * time.Minute // all is read again: what was forgotten leaves no trace
)

// Reader reads the acknowledgements of a channel by requests alone, again and again, for who only looks: it needs no consumer, nor the right to
// make one. It asks for those that came since the last time. For one goroutine.
type Reader struct {
	l       *Link
	view    *View
	next    uint64    // the first sequence that was not read
	created time.Time // the stream was
	whole   time.Time // when all was read; zero: never
	invalid map[string]bool
	shared  shared
}

// Reader makes a reader of a channel's acknowledgements.
func (l *Link) Reader(channel string) (*Reader, error) {
	if err := record.CheckName("the channel", channel); err != nil {
		return nil, err
	}
	return &Reader{l: l, view: newView(channel, 0, l.clock), invalid: map[string]bool{}}, nil
}

// Read brings the view up to date. It is the same each time, and good until the next call. In a cluster it may lack what came in the last moment.
func (r *Reader) Read(ctx context.Context) (*View, error) {
	info, err := r.look(ctx)
	if err != nil {
		return nil, err
	}
	r.view.skew = info.TimeStamp.Sub(r.l.clock())
	if !info.Created.Equal(r.created) || info.State.LastSeq+1 < r.next { // it is another stream, or went back
		r.created, r.whole, r.view.agents = info.Created, time.Time{}, map[string]*Agent{}
	}
	there := map[string]bool(nil)
	if began := r.l.clock(); r.whole.IsZero() || began.Sub(r.whole) >= wholeEvery || began.Before(r.whole) {
		r.whole = time.Time{} // until all is read
		r.next, there, r.invalid, r.view.More = max(info.State.FirstSeq, 1), map[string]bool{}, map[string]bool{}, 0
	}
	for more := true; more; {
		if more, err = r.batch(ctx, there); err != nil {
			return nil, err
		}
	}
	if there != nil {
		for name := range r.view.agents {
			if !there[name] {
				delete(r.view.agents, name)
			}
		}
		r.whole = r.l.clock()
	}
	r.view.Invalid = len(r.invalid)
	return r.view, nil
}

func (r *Reader) look(ctx context.Context) (info *jetstream.StreamInfo, err error) {
	err = r.l.again(ctx, "the broker does not show acknowledgements", func(ctx context.Context) (bool, error) {
		stream, err := r.l.js.Stream(ctx, record.Acks)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return true, fmt.Errorf("stream %s: %w", record.Acks, errNoStream)
		}
		if err == nil {
			info = stream.CachedInfo()
		}
		return err == nil || final(err), err
	})
	return info, err
}

// batch reads some, notes whose they are in there, which may be nil, and reports whether there are more.
func (r *Reader) batch(ctx context.Context, there map[string]bool) (more bool, err error) {
	var got []*nats.Msg
	err = r.l.again(ctx, "the broker does not show acknowledgements", func(ctx context.Context) (bool, error) {
		got, more, err = r.l.following(ctx, record.Acks, record.AckSubject(r.view.Channel, "*"), r.next)
		return err == nil || final(err), err
	})
	if err != nil {
		return false, err
	}
	for _, m := range got {
		sequence, err := strconv.ParseUint(m.Header.Get(nats.JSSequence), 10, 64)
		if err != nil || sequence < r.next {
			return false, fmt.Errorf("stream %s: a message has the sequence %q", record.Acks, m.Header.Get(nats.JSSequence))
		}
		r.next = sequence + 1
		r.take(m, there)
	}
	return more && len(got) > 0, nil
}

// take puts an acknowledgement into the view.
func (r *Reader) take(m *nats.Msg, there map[string]bool) {
	h := &heard{}
	subject := m.Header.Get(nats.JSSubject)
	if len(m.Data) <= maxAck {
		h = hear(subject, m.Data)
	}
	var err error
	if h.at, err = time.Parse(time.RFC3339Nano, m.Header.Get(nats.JSTimeStamp)); err != nil || !h.valid {
		if len(r.invalid) < maxAgents {
			r.invalid[subject] = true
		}
		return
	}
	delete(r.invalid, subject)
	if there != nil {
		there[h.agent] = true
	}
	if r.view.agents[h.agent] == nil && len(r.view.agents) >= maxAgents {
		if there != nil {
			r.view.More++
		}
		return
	}
	r.shared.of(&h.ack)
	r.view.add(h)
}

// The answers of the servers to a request for messages of a stream.
const (
	statusEnd  = "204"
	statusNone = "404"

	pendingHeader = "Nats-Num-Pending"
	statusHeader  = "Status"
)

// following are messages of a stream from a sequence on. Any replica may answer. It reports whether there are more.
func (l *Link) following(ctx context.Context, stream, subject string, from uint64) (all []*nats.Msg, more bool, err error) {
	request, err := json.Marshal(map[string]any{"seq": from, "next_by_subj": subject, "batch": perBatch})
	if err != nil {
		return nil, false, err
	}
	inbox := l.nc.NewInbox()
	answers, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, false, err
	}
	defer answers.Unsubscribe() //nolint:errcheck // of a connection that has ended, it is so
	if err := l.nc.PublishRequest(l.prefix+".DIRECT.GET."+stream, inbox, request); err != nil {
		return nil, false, err
	}
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, fmt.Errorf("stream %s: %w", stream, err)
		}
		switch status := m.Header.Get(statusHeader); status {
		case "":
			all = append(all, m)
		case statusNone:
			return all, false, nil
		case statusEnd:
			return all, m.Header.Get(pendingHeader) != "0", nil
		default:
			return nil, false, fmt.Errorf("stream %s: the broker answers %s %s", stream, status, m.Header.Get("Description"))
		}
	}
}
