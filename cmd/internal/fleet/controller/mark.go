package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
)

// Mark is what a controller says of itself every few seconds. Of several, the newest stays.
type Mark struct {
	Controller string       `json:"controller"`
	Epoch      uint64       `json:"epoch"` // of the record that it judged
	Step       rollout.Step `json:"step"`
	Stage      string       `json:"stage,omitempty"`
	Reason     string       `json:"reason,omitempty"`

	At  time.Time     `json:"-"` // when the broker took it
	Ago time.Duration `json:"-"` // since then, by the broker's clock
}

const (
	markEvery   = 5 * time.Second
	markTimeout = time.Second
)

// AwayAfter is after how long without a [Mark] no controller is there.
const AwayAfter = 6 * markEvery

// Away reports whether no controller moves the channel. A mark of nil is one that was never made.
func (m *Mark) Away() bool { return m == nil || m.Ago > AwayAfter }

// mark says that the controller is there. That it cannot is no reason to stop: what it could not say is an error of the look.
func (c *controller) mark(ctx context.Context, seen *Seen) {
	if time.Since(c.marked) < markEvery {
		return
	}
	c.marked = time.Now()
	m := Mark{Controller: c.cfg.Name, Step: seen.Verdict.Step, Stage: seen.Verdict.Stage, Reason: seen.Verdict.Reason}
	if r := seen.Now.Record(); r != nil {
		m.Epoch = r.Epoch
	}
	text, err := json.Marshal(m)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, markTimeout)
		defer cancel()
		_, err = c.link.JetStream().Publish(ctx, record.ControllerSubject(c.cfg.Channel), text, jetstream.WithRetryAttempts(0))
	}
	if err != nil && seen.Err == nil {
		seen.Err = fmt.Errorf("fleet status cannot see this controller: %s: %w", record.ControllerSubject(c.cfg.Channel), err)
	}
}

// Last is the newest mark of a channel, nil if there is none.
func Last(ctx context.Context, l *fleet.Link, channel string) (*Mark, error) {
	stream, err := l.JetStream().Stream(ctx, record.Acks)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", record.Acks, err)
	}
	found, err := stream.GetLastMsgForSubject(ctx, record.ControllerSubject(channel))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", record.Acks, err)
	}
	m := &Mark{At: found.Time, Ago: max(stream.CachedInfo().TimeStamp.Sub(found.Time), 0)}
	if err := json.Unmarshal(found.Data, m); err != nil {
		return nil, fmt.Errorf("what a controller of channel %s said: %w", channel, err)
	}
	return m, nil
}
