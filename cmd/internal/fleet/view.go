package fleet

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
)

// Agent is what is known of an agent.
type Agent struct {
	record.Ack
	Heard time.Time // by the broker's clock

	// Flapping: acknowledgements of two instances took turns, so two agents have one name.
	Flapping bool

	before string // the instance before this one
}

// View is what the agents of a channel say. For one goroutine.
type View struct {
	Channel string
	Invalid int // acknowledgements that are none
	More    int // agents that a [Reader] left out, for there are too many

	agents map[string]*Agent
	skew   time.Duration
	clock  func() time.Time
}

func newView(channel string, skew time.Duration, clock func() time.Time) *View {
	return &View{Channel: channel, agents: map[string]*Agent{}, skew: skew, clock: clock}
}

// Now is the time by the broker's clock.
func (v *View) Now() time.Time { return v.clock().Add(v.skew) }

// Agents are sorted by name. They may be kept.
func (v *View) Agents() []Agent {
	all := make([]Agent, 0, len(v.agents))
	for _, a := range v.agents {
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b Agent) int { return cmp.Compare(a.Agent, b.Agent) })
	return all
}

// Names are the names of all agents, sorted.
func (v *View) Names() []string { return slices.Sorted(maps.Keys(v.agents)) }

// add takes what was heard. Acknowledgements overtake each other, so of one instance the one with the highest epoch counts, and not the last to arrive.
func (v *View) add(h *heard) {
	if !h.valid {
		v.Invalid++
		return
	}
	a := v.agents[h.agent]
	switch {
	case a == nil:
		a = &Agent{}
		v.agents[h.agent] = a
	case a.Instance == h.ack.Instance:
		if cmp.Or(cmp.Compare(h.ack.Epoch, a.Epoch), h.ack.Sent.Compare(a.Sent)) < 0 {
			a.Heard = h.at
			return
		}
	default:
		a.Flapping = a.Flapping || a.before == h.ack.Instance
		a.before = a.Instance
	}
	a.Ack, a.Heard = h.ack, h.at
}

// Forget removes what an agent acknowledged. It reports whether the agent was known.
func (l *Link) Forget(ctx context.Context, channel, agent string) (known bool, err error) {
	if err := errors.Join(record.CheckName("the channel", channel), record.CheckName("the agent", agent)); err != nil {
		return false, err
	}
	subject := record.AckSubject(channel, agent)
	m, err := l.last(ctx, record.Acks, subject)
	if err != nil || m == nil {
		return false, err
	}
	return true, l.again(ctx, "the broker does not forget "+agent, func(ctx context.Context) (bool, error) {
		stream, err := l.js.Stream(ctx, record.Acks)
		if err == nil {
			err = stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
		}
		return err == nil || final(err), err
	})
}
