package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"

	"golang.org/x/mod/sumdb/note"
)

// Config is of a controller.
type Config struct {
	Channel string
	Keys    *record.Keys  // whose records are trusted
	Signers []note.Signer // with a stage key or a release key
	Name    string        // who records say wrote them

	// Tell is called after each look, and Run returns when it returns true. It is called by Run, one call at a time.
	Tell func(Seen) (done bool)

	// Time alters what the time is, which the broker's clock says. Nil: it does not. It is for tests, which do not wait for a
	// soak.
	Time func(time.Time) time.Time
}

// Seen is what a controller knows after a look.
type Seen struct {
	Now     fleet.Now
	View    *fleet.View // only for as long as the call that it is handed to
	Verdict rollout.Verdict
	Moved   bool  // this controller wrote Now
	Err     error // what went wrong; it is tried again
}

// Run moves the rollouts of a channel until ctx ends or [Config].Tell returns true.
func Run(ctx context.Context, l *fleet.Link, cfg Config) error {
	if cfg.Time == nil {
		cfg.Time = func(t time.Time) time.Time { return t }
	}
	c := &controller{cfg: cfg, link: l}
	if _, err := l.Now(ctx, cfg.Channel, cfg.Keys); err != nil {
		return err // of streams that are not there, say
	}
	for {
		c.deaf()
		err := l.Follow(ctx, cfg.Channel, func(v *fleet.View) (bool, error) { return c.look(ctx, v) })
		if err == nil || ctx.Err() != nil {
			return err
		}
		if c.cfg.Tell(Seen{Now: fleet.Now{Channel: cfg.Channel}, Err: err}) {
			return nil
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

type controller struct {
	cfg  Config
	link *fleet.Link

	listening  time.Time // since when nothing was missed, by the broker's clock; zero: from the next look on
	looked     time.Time // when the last look ended
	cost       time.Duration
	reconnects uint64
	marked     time.Time
}

// Bounds of looks.
const (
	breakAfter = 5 * time.Second // a look comes each second: when none came for this long, nobody listened
	breather   = 10              // how many times as long as a look takes there is none, while acknowledgements come
	longPause  = time.Second / 2
)

// deaf notes that what agents said may have been missed, so that their silence until now means nothing.
func (c *controller) deaf() { c.listening = time.Time{} }

// look judges once, and moves the channel if that is called for.
func (c *controller) look(ctx context.Context, v *fleet.View) (done bool, err error) {
	if rest := min(breather*c.cost, longPause) - time.Since(c.looked); rest > 0 {
		if err := pause(ctx, rest); err != nil {
			return false, err
		}
	}
	started := time.Now()
	if n := c.link.JetStream().Conn().Stats().Reconnects; n != c.reconnects || started.Sub(c.looked) > breakAfter {
		c.reconnects = n
		c.deaf()
	}
	now, err := c.link.Now(ctx, c.cfg.Channel, c.cfg.Keys)
	if err != nil {
		return false, err
	}
	if time.Since(started) > breakAfter {
		c.deaf()
	}
	if c.listening.IsZero() {
		c.listening = v.Now()
	}
	seen := c.decide(ctx, now, v)
	c.mark(ctx, &seen)
	done = c.cfg.Tell(seen)
	c.looked = time.Now()
	c.cost = c.looked.Sub(started)
	return done, nil
}

// decide judges, and writes what follows.
func (c *controller) decide(ctx context.Context, now fleet.Now, v *fleet.View) Seen {
	seen := Seen{Now: now, View: v}
	switch {
	case now.Err != nil:
		seen.Err = fmt.Errorf("what channel %s says is not trusted: %w", c.cfg.Channel, now.Err)
		seen.Verdict = rollout.Verdict{Step: rollout.Nothing, Reason: seen.Err.Error()}
		return seen
	case now.Record() == nil:
		seen.Verdict = rollout.Verdict{Step: rollout.Nothing, Reason: "nothing was published"}
		return seen
	}
	var next *record.Record
	next, seen.Verdict = rollout.Next(situation(now, v, c.listening, c.cfg.Time), c.cfg.Name)
	if next == nil {
		return seen
	}
	moved, err := c.link.Move(ctx, now, next, now.Opened.Delta, c.cfg.Signers...)
	beaten := new(fleet.Beaten)
	switch {
	case errors.As(err, &beaten): // by another controller, or a person: the next look sees what they wrote
	case err != nil:
		seen.Err = err
	default:
		seen.Now, seen.Moved = moved, true
	}
	return seen
}

// situation is what there is to judge. of alters the broker's time.
func situation(now fleet.Now, v *fleet.View, listening time.Time, of func(time.Time) time.Time) rollout.Situation {
	s := rollout.Situation{Record: now.Record(), Written: of(now.Time), Now: of(v.Now()), Agents: agents(v, of)}
	if !listening.IsZero() {
		s.Listening = of(listening)
	}
	return s
}

func agents(v *fleet.View, of func(time.Time) time.Time) []rollout.Agent {
	var all []rollout.Agent
	for _, a := range v.Agents() {
		all = append(all, rollout.Agent{Ack: a.Ack, Heard: of(a.Heard)})
	}
	return all
}

// Agents are those of a view as package rollout has them.
func Agents(v *fleet.View) []rollout.Agent {
	return agents(v, func(t time.Time) time.Time { return t })
}

// Situation is what there is to judge for who looks once. Who was silent may have been lost for as long.
func Situation(now fleet.Now, v *fleet.View) rollout.Situation {
	return situation(now, v, time.Time{}, func(t time.Time) time.Time { return t })
}

// Order writes the record that do makes of the situation of a channel, nothing if it makes none: is then has no record. If somebody else was first,
// the error is a [*fleet.Beaten].
func Order(ctx context.Context, l *fleet.Link, channel string, keys *record.Keys, signers []note.Signer,
	do func(rollout.Situation) (*record.Record, error),
) (was, is fleet.Now, err error) {
	was, err = l.Now(ctx, channel, keys)
	switch {
	case err != nil:
		return was, was, err
	case was.Err != nil:
		return was, was, fmt.Errorf("what channel %s says is not trusted: %w", channel, was.Err)
	case was.Record() == nil:
		return was, was, fmt.Errorf("channel %s: nothing was published", channel)
	}
	v, err := l.View(ctx, channel)
	if err != nil {
		return was, was, err
	}
	next, err := do(Situation(was, v))
	if err != nil || next == nil {
		return was, fleet.Now{}, err
	}
	is, err = l.Move(ctx, was, next, was.Opened.Delta, signers...)
	return was, is, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
