package fleettest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"
)

// Channel is a publisher of one channel that checks nothing, and remembers what it published. Not for use by several
// goroutines.
type Channel struct {
	Name     string
	Revision func(delta.Set) string // nil: [Revision]
	Signers  []note.Signer
	Base     record.Release // what the next record's delta is from, and the rest of its agents serve
	Epoch    uint64         // of the last record

	js    jetstream.JetStream
	files delta.Set // of Base
}

// NewChannel makes a channel with a key of its own, and the keys that its agents trust.
func NewChannel(t testing.TB, nc *nats.Conn, name string) (*Channel, *record.Keys) {
	t.Helper()
	signer, line := Key(t, "release", record.RoleRelease)
	keys, err := record.ParseKeys([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return &Channel{Name: name, js: JetStream(t, nc), Signers: []note.Signer{signer}, Revision: Revision}, keys
}

// Publish moves the channel to files. change, which may be nil, alters the record before it is signed; one whose cohort is
// not everybody does not become the base of the next.
func (c *Channel) Publish(ctx context.Context, files delta.Set, change func(*record.Record)) (*record.Record, error) {
	release, packed, err := Release(ctx, c.js, files, c.files, c.Revision)
	if err != nil {
		return nil, err
	}
	r := &record.Record{
		Channel: c.Name, State: record.Active, Target: release, Base: c.Base, Cohort: record.Everybody(),
		Epoch: record.NextEpoch(c.Epoch, time.Now()),
	}
	if change != nil {
		change(r)
	}
	if len(packed) > record.MaxInline {
		packed = nil
	}
	if err := Move(ctx, c.js, r, packed, c.Signers...); err != nil {
		return nil, err
	}
	c.Epoch = r.Epoch
	if r.State == record.Active && r.Cohort.Percent >= 100 && len(r.Cohort.Labels) == 0 {
		c.Base, c.files = release, files
	}
	return r, nil
}

// Rest moves everybody to the base again. change is as for [Channel.Publish].
func (c *Channel) Rest(ctx context.Context, change func(*record.Record)) (*record.Record, error) {
	r := &record.Record{
		Channel: c.Name, State: record.Active, Target: c.Base, Cohort: record.Everybody(), Epoch: record.NextEpoch(c.Epoch, time.Now()),
	}
	if change != nil {
		change(r)
	}
	if err := Move(ctx, c.js, r, nil, c.Signers...); err != nil {
		return nil, err
	}
	c.Epoch = r.Epoch
	return r, nil
}

// Crowd is light agents that run.
type Crowd struct {
	Agents []*Light
	all    sync.WaitGroup
	end    context.CancelFunc
	mu     sync.Mutex
	err    error
}

// NewCrowd makes n light agents, "a0" and so on. [Crowd.Run] starts them.
func NewCrowd(n int, channel string, keys *record.Keys) *Crowd {
	c := &Crowd{}
	for i := range n {
		c.Agents = append(c.Agents, &Light{Channel: channel, ID: Name(i), Keys: keys, Agents: n})
	}
	return c
}

// Run connects the agents to brokers, fifty at a time, and ends them with the test.
func (c *Crowd) Run(t testing.TB, url string, options ...nats.Option) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	c.end = end
	t.Cleanup(c.End)
	turns := make(chan struct{}, 50)
	for _, one := range c.Agents {
		turns <- struct{}{}
		connected := nats.ConnectHandler(func(*nats.Conn) { <-turns })
		c.all.Go(func() {
			if err := one.Run(ctx, url, append(options, nats.RetryOnFailedConnect(true), connected)...); err != nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.err = errors.Join(c.err, err)
			}
		})
	}
}

// End ends all agents.
func (c *Crowd) End() {
	c.end()
	c.all.Wait()
}

// Wait returns when all have acknowledged an epoch, and the error of agents that ended, or of ctx.
func (c *Crowd) Wait(ctx context.Context, epoch uint64) error {
	for _, one := range c.Agents {
		for one.Epoch.Load() < epoch {
			c.mu.Lock()
			err := c.err
			c.mu.Unlock()
			if err != nil {
				return err
			}
			if !wait(ctx, time.Millisecond) {
				return ctx.Err()
			}
		}
	}
	return nil
}

// Serving is how many serve a revision.
func (c *Crowd) Serving(revision string) (n int) {
	for _, one := range c.Agents {
		if one.serves() == revision {
			n++
		}
	}
	return n
}
