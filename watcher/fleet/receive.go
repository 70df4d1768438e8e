package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// The results of records, as they are counted. Refusals are counted by their code.
const (
	resultApplied   = "applied"
	resultUnchanged = "unchanged"
	resultReplay    = "replay"
	resultRefused   = "refused"
)

// The kinds of what is fetched.
const (
	bytesPush     = "push"
	bytesDelta    = "delta"
	bytesSnapshot = "snapshot"
)

// Run follows the channel until ctx ends, and returns nil then. Nothing is applied before loaded is closed: until then,
// releases are only made, for [Agent.FS].
func (a *Agent) Run(ctx context.Context, loaded <-chan struct{}) error {
	l, err := a.dial(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer l.nc.Close()
	a.follow(ctx, l, loaded)
	return nil
}

// follow is Run over any wire.
func (a *Agent) follow(ctx context.Context, w wire, loaded <-chan struct{}) {
	a.mu.Lock()
	a.wire = w
	a.signal()
	a.mu.Unlock()
	ended := make(chan struct{}, 2)
	go func() { defer func() { ended <- struct{}{} }(); a.poll(ctx) }()
	go func() { defer func() { ended <- struct{}{} }(); a.acknowledge(ctx) }()
	a.work(ctx, loaded)
	<-ended
	<-ended
}

// poll asks for the record again and again: a push can be missed without a sign of it, and only an answer says how old
// what is known is.
func (a *Agent) poll(ctx context.Context) {
	keys := time.NewTicker(keysEvery)
	defer keys.Stop()
	next := time.NewTimer(around(a.cfg.Poll))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-keys.C:
			a.lookAtKeys()
			continue
		case <-a.look:
		case <-next.C:
		}
		pause := around(a.cfg.Poll)
		if a.usable() {
			if _, err := a.ask(ctx); err != nil && !errors.Is(err, errNotFound) {
				pause = min(pause, around(askAgain))
			}
		}
		next.Reset(pause)
	}
}

// askAgain is the pause after a request that was not answered.
const askAgain = 5 * time.Second

// around is a random time, half of d more or less.
func around(d time.Duration) time.Duration { return d/2 + rand.N(d+1) }

// ask asks for the record, and returns the epoch of the newest that was taken.
func (a *Agent) ask(ctx context.Context) (uint64, error) {
	sent := time.Now()
	message, err := a.wire.get(ctx, record.Stream, record.Subject(a.cfg.Channel))
	if err != nil {
		if errors.Is(err, errNotFound) {
			err = fmt.Errorf("channel %s has no record: %w", a.cfg.Channel, err)
		}
		a.mu.Lock()
		if a.newest == nil {
			a.lookErr = err
			a.ackDue = a.ackDue || errors.Is(err, errNotFound)
		}
		a.link.err = err.Error()
		a.signal()
		a.mu.Unlock()
		return 0, err
	}
	return a.receive(message, sent, false)
}

// receive takes a message if it is the newest, and returns the epoch of the newest that was taken. sent is when it was
// asked for. A message that is no newer and does not say what is known already proves nothing.
func (a *Agent) receive(message []byte, sent time.Time, pushed bool) (uint64, error) {
	a.mu.Lock()
	if pushed {
		a.counted.bytes[bytesPush] += uint64(len(message))
	}
	if a.newest != nil && bytes.Equal(message, a.message) {
		defer a.mu.Unlock()
		return a.again(sent)
	}
	if r := a.rejected; r != nil && bytes.Equal(message, r.message) && r.code == record.CodeSignature {
		defer a.mu.Unlock()
		return 0, r.err // it is tried again when the keys have changed
	}
	a.mu.Unlock()

	opened, err := record.Open(message, a.cfg.Channel, a.keys.now(), time.Now())
	if err != nil {
		a.reject(message, err)
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.newest != nil && bytes.Equal(message, a.message) { // it was pushed and asked for at once
		return a.again(sent)
	}
	// A record whose epoch is the floor is the one that an earlier run has seen.
	if opened.Epoch < a.floor || opened.Epoch == a.floor && a.newest != nil {
		a.counted.records[resultReplay]++
		err := fmt.Errorf("the source has the record of epoch %d, and one of epoch %d was seen: it went back; what it holds has to be published again", opened.Epoch, a.floor)
		if !pushed {
			a.link.err = err.Error()
		}
		return a.floor, err
	}
	a.message, a.newest, a.floor, a.rejected = message, opened, opened.Epoch, nil
	a.advance(sent)
	a.link.err = ""
	if a.stop != nil {
		a.stop()
	}
	a.signal()
	return opened.Epoch, nil
}

// again is what comes of a message that says what is known. a.mu is held.
func (a *Agent) again(sent time.Time) (uint64, error) {
	if a.newest.Expired(time.Now()) {
		a.link.err = fmt.Sprintf("the newest record has expired, at %s", a.newest.Expires.UTC().Format(time.RFC3339))
		return a.newest.Epoch, errors.New(a.link.err)
	}
	if a.rejected != nil {
		a.rejected, a.ackDue = nil, true
	}
	a.advance(sent)
	a.link.err = ""
	a.signal()
	return a.newest.Epoch, nil
}

// advance notes a contact. a.mu is held.
func (a *Agent) advance(sent time.Time) {
	if sent.After(a.contact) {
		a.contact = sent
	}
}

// codes are those of the errors of [record.Open].
var codes = []struct {
	err  error
	code record.Code
}{
	{record.ErrUnsigned, record.CodeSignature},
	{record.ErrSignature, record.CodeSignature},
	{record.ErrFuture, record.CodeFuture},
	{record.ErrExpired, record.CodeExpired},
}

// reject notes a message that cannot be taken, and tells it once.
func (a *Agent) reject(message []byte, err error) {
	code := record.CodeFormat
	for _, c := range codes {
		if errors.Is(err, c.err) {
			code = c.code
			break
		}
	}
	err = fmt.Errorf("the record is refused: %w", err)
	a.mu.Lock()
	a.counted.records[string(code)]++
	now := time.Now()
	if r := a.rejected; r != nil && r.code == code && (bytes.Equal(r.message, message) || now.Sub(r.since) < tellAgain) {
		r.message, r.err = message, err
		a.mu.Unlock()
		return
	}
	a.rejected = &rejected{message, code, err, now}
	a.ackDue = true
	e := Event{Kind: EventRefused, Epoch: a.floor, Serves: a.serves, Code: code, Err: err.Error()}
	a.signal()
	a.mu.Unlock()
	a.cfg.Tell(e)
}

// tellAgain is the time between two reports of messages that are refused for one reason: anybody may send them.
const tellAgain = 5 * time.Second

// lookAtKeys reads the keys again if they have changed, and tries what they did not sign before.
func (a *Agent) lookAtKeys() {
	changed, err := a.keys.look()
	switch {
	case err != nil:
		a.cfg.Tell(Event{Kind: EventKeys, Err: err.Error()})
	case changed:
		a.cfg.Tell(Event{Kind: EventKeys, Signers: a.keys.now().Names()})
		a.mu.Lock()
		r := a.rejected
		a.rejected, a.ackDue = nil, true // it is told which keys are trusted
		a.signal()
		a.mu.Unlock()
		if r != nil {
			_, _ = a.receive(r.message, time.Time{}, false) // it reports what is wrong
		}
	}
}

// refreshTimeout bounds a Refresh whose caller sets no limit.
const refreshTimeout = 5 * time.Second

// Refresh asks for the record now, and returns when [Agent.FS] is as new as it says. It waits for a connection if there never
// was one. The error says why FS is not as new.
func (a *Agent) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	a.mu.Lock()
	ever, lost := a.everConnected, a.link.err
	a.mu.Unlock()
	if err := a.wait(ctx, func() bool { return a.wire != nil && (a.link.usable || ever) }); err != nil {
		return fmt.Errorf("channel %s: no server answered: %w", a.cfg.Channel, err)
	}
	if !a.usable() {
		return fmt.Errorf("channel %s: there is no connection to the source: %s", a.cfg.Channel, lost)
	}
	epoch, err := a.ask(ctx)
	if err != nil {
		return err
	}
	if err := a.wait(ctx, func() bool { return a.looked >= epoch }); err != nil {
		return fmt.Errorf("channel %s: the release of epoch %d is not at hand: %w", a.cfg.Channel, epoch, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lookErr
}
