package fleetproof_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
)

// ackCounter knows the newest acknowledgement of each agent, as whoever waits for agents does.
type ackCounter struct {
	mu      sync.Mutex
	newest  map[string]uint64 // epochs, by agent
	at      map[uint64]int    // agents, by epoch
	refused map[string]uint64 // the last epoch that an agent refused
	wrong   error
	news    chan struct{}
}

// countAcks starts a consumer of acknowledgements.
func countAcks(ctx context.Context, t *testing.T, js jetstream.JetStream) *ackCounter {
	t.Helper()
	c := &ackCounter{newest: map[string]uint64{}, at: map[uint64]int{}, refused: map[string]uint64{}, news: make(chan struct{}, 1)}
	consumer, err := js.OrderedConsumer(ctx, record.Acks, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{record.AckSubject("prod", "*")}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	running, err := consumer.Consume(c.take)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		running.Stop()
		<-running.Closed()
	})
	return c
}

func (c *ackCounter) take(m jetstream.Msg) {
	var ack record.Ack
	err := json.Unmarshal(m.Data(), &ack)
	c.mu.Lock()
	if err != nil {
		c.wrong = fmt.Errorf("%s: %w", m.Subject(), err)
	}
	if was := c.newest[ack.Agent]; ack.Epoch > was { // the last to arrive is not always the newest
		c.newest[ack.Agent] = ack.Epoch
		c.at[was]--
		c.at[ack.Epoch]++
	}
	if ack.State == record.Refused {
		c.refused[ack.Agent] = ack.Epoch
	}
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// wait returns when n agents have acknowledged an epoch or a later one.
func (c *ackCounter) wait(ctx context.Context, epoch uint64, n int) error {
	return c.until(ctx, n, func() (acked int) {
		for at, agents := range c.at {
			if at >= epoch {
				acked += agents
			}
		}
		return acked
	})
}

// waitRefused returns when an agent has refused what an epoch asks for.
func (c *ackCounter) waitRefused(ctx context.Context, epoch uint64) error {
	return c.until(ctx, 1, func() int { return c.refusals(epoch) })
}

// refusals is how many agents refused what an epoch asks for. The lock is held.
func (c *ackCounter) refusals(epoch uint64) (n int) {
	for _, at := range c.refused {
		if at == epoch {
			n++
		}
	}
	return n
}

func (c *ackCounter) until(ctx context.Context, n int, so func() int) error {
	for {
		c.mu.Lock()
		got, err := so(), c.wrong
		c.mu.Unlock()
		if got >= n || err != nil {
			return err
		}
		select {
		case <-c.news:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d agents: %w", got, n, ctx.Err())
		}
	}
}
