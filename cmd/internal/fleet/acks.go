package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	forgetConsumer = time.Minute           // when the broker removes a consumer whose reader has died
	lookEvery      = time.Second           // also if nothing comes: agents are lost by time
	lookPause      = 20 * time.Millisecond // between two looks: each goes through all agents
)

// Follow reads the acknowledgements of a channel into a [View]. It calls look when all that were there are in it, after those
// that come, and each second, until look returns true or an error. It is one consumer, however many agents there are.
func (l *Link) Follow(ctx context.Context, channel string, look func(*View) (done bool, err error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f, err := l.feed(ctx, channel)
	if err != nil {
		return err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		f.read(ctx, cancel)
	}()
	defer func() {
		cancel(nil)
		f.close()
		<-read
	}()
	return f.follow(ctx, newView(channel, f.skew, l.clock), look)
}

// View reads the acknowledgements of a channel that are there.
func (l *Link) View(ctx context.Context, channel string) (v *View, err error) {
	err = l.Follow(ctx, channel, func(found *View) (bool, error) {
		v = found
		return true, nil
	})
	return v, err
}

// feed is a consumer of acknowledgements.
type feed struct {
	l        *Link
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
	skew     time.Duration // how much the broker's clock is ahead of this one
	waiting  bool          // there were acknowledgements in the beginning
	heard    chan *heard
}

// heard is an acknowledgement as the broker keeps it.
type heard struct {
	agent, channel string // by the subject, for which the broker vouches
	ack            record.Ack
	valid          bool
	at             time.Time // when the broker took it, by its clock
	last           bool      // it was the last that the broker had
}

// hear reads an acknowledgement.
func hear(subject string, data []byte) *heard {
	h := &heard{}
	if words := strings.Split(subject, "."); len(words) > 1 {
		h.channel, h.agent = words[len(words)-2], words[len(words)-1]
	}
	h.valid = json.Unmarshal(data, &h.ack) == nil && h.ack.Agent == h.agent && h.ack.Channel == h.channel
	return h
}

func (l *Link) feed(ctx context.Context, channel string) (*feed, error) {
	if err := record.CheckName("the channel", channel); err != nil {
		return nil, err
	}
	const readAhead = 1024
	f := &feed{l: l, heard: make(chan *heard, readAhead)}
	err := l.again(ctx, "the broker does not show acknowledgements", func(ctx context.Context) (bool, error) {
		err := f.open(ctx, channel)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return true, fmt.Errorf("stream %s: %w", record.Acks, errNoStream)
		}
		return err == nil || final(err), err
	})
	return f, err
}

func (f *feed) open(ctx context.Context, channel string) error {
	stream, err := f.l.js.Stream(ctx, record.Acks)
	if err != nil {
		return err
	}
	f.skew = stream.CachedInfo().TimeStamp.Sub(f.l.clock())
	f.consumer, err = stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{record.AckSubject(channel, "*")}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
		InactiveThreshold: forgetConsumer,
	})
	if err != nil {
		return err
	}
	info, err := f.consumer.Info(ctx)
	if err != nil {
		return err
	}
	f.waiting = info.NumPending > 0
	f.messages, err = f.consumer.Messages()
	return err
}

// close ends the consumer, which the broker would else keep for a while.
func (f *feed) close() {
	f.messages.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), firstTimeout)
	defer cancel()
	_ = f.l.js.DeleteConsumer(ctx, record.Acks, f.consumer.CachedInfo().Name) // it is forgotten anyhow
}

// read hands on what comes until the feed is closed.
func (f *feed) read(ctx context.Context, fail context.CancelCauseFunc) {
	for {
		m, err := f.messages.Next()
		if err != nil {
			if !errors.Is(err, jetstream.ErrMsgIteratorClosed) {
				fail(fmt.Errorf("the acknowledgements: %w", err))
			}
			return
		}
		h := hear(m.Subject(), m.Data())
		if meta, err := m.Metadata(); err == nil {
			h.at, h.last = meta.Timestamp, meta.NumPending == 0
		}
		select {
		case f.heard <- h:
		case <-ctx.Done():
			return
		}
	}
}

func (f *feed) follow(ctx context.Context, v *View, look func(*View) (bool, error)) error {
	tick := time.NewTicker(lookPause)
	defer tick.Stop()
	var looked time.Time
	complete, fresh := !f.waiting, true
	for {
		if complete && len(f.heard) == 0 && (fresh && time.Since(looked) >= lookPause || time.Since(looked) >= lookEvery) {
			if done, err := look(v); done || err != nil {
				return err
			}
			looked, fresh = time.Now(), false
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				return cause
			}
			return &Timeout{What: "the agents of channel " + v.Channel}
		case h := <-f.heard:
			v.add(h)
			complete, fresh = complete || h.last, true
		case <-tick.C:
		}
	}
}
