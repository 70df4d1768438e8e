package fleettest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/record"
	"defenseclaw/watcher/fleet/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Cluster is three brokers in processes of their own, that keep each stream three times.
type Cluster struct {
	t     testing.TB
	Nodes []*Process
}

// StartCluster starts three brokers with the streams of a fleet, and ends them with the test.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for n := range 3 {
		c.Nodes = append(c.Nodes, newProcess(t, ProcessConfig{Name: fmt.Sprintf("n%d", n+1)}))
	}
	var routes []string
	for _, p := range c.Nodes {
		routes = append(routes, fmt.Sprintf("nats-route://127.0.0.1:%d", p.routes))
	}
	for _, p := range c.Nodes {
		p.config += fmt.Sprintf("cluster { name: fleet, listen: 127.0.0.1:%d, routes: [%s] }\n", p.routes, strings.Join(routes, ", "))
		p.launch()
	}
	for _, p := range c.Nodes {
		p.await("it is one of the cluster", p.healthy)
	}
	createStreams(t, c.Connect(), streams.Options{Replicas: len(c.Nodes)}, "")
	return c
}

// healthy is whether the broker's JetStream is up to date with what its cluster has.
func (p *Process) healthy() bool {
	var health struct{ Status string }
	return p.Monitor("/healthz", &health) == nil && health.Status == "ok"
}

// Heal starts the nodes that do not run, and returns when all are up to date.
func (c *Cluster) Heal() {
	c.t.Helper()
	for _, p := range c.Nodes {
		if p.cmd == nil {
			p.launch()
		}
	}
	for _, p := range c.Nodes {
		p.await("it is up to date", p.healthy)
	}
}

// URL has the addresses of all nodes.
func (c *Cluster) URL() string {
	var all []string
	for _, p := range c.Nodes {
		all = append(all, p.Address())
	}
	return "nats://" + strings.Join(all, ",")
}

// Connect opens a connection that ends with the test.
func (c *Cluster) Connect(options ...nats.Option) *nats.Conn {
	c.t.Helper()
	return connect(c.t, c.URL(), options...)
}

// Leader is the node that takes the writes to the bucket of records.
func (c *Cluster) Leader() *Process {
	c.t.Helper()
	js := JetStream(c.t, c.Connect())
	for range 600 {
		if name := leader(js); name != "" {
			for _, p := range c.Nodes {
				if p.name == name {
					return p
				}
			}
		}
		wait(context.Background(), 100*time.Millisecond)
	}
	c.t.Fatal("the bucket of records has no leader")
	return nil
}

func leader(js jetstream.JetStream) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := js.Stream(ctx, record.Stream)
	if err != nil || s.CachedInfo().Cluster == nil {
		return ""
	}
	return s.CachedInfo().Cluster.Leader
}

// StartLeaf starts a broker without JetStream that is connected to another one only, and ends it with the test.
func StartLeaf(t testing.TB, hub *Process) *Process {
	t.Helper()
	return StartLeafOf(t, fmt.Sprintf("nats-leaf://127.0.0.1:%d", hub.leafPort))
}

// StartLeafOf is [StartLeaf] for a hub behind a [Proxy]: see [Process.LeafAddress].
func StartLeafOf(t testing.TB, url string) *Process {
	t.Helper()
	p := newProcess(t, ProcessConfig{Name: "leaf", leaf: true, Extra: fmt.Sprintf("leafnodes { reconnect: 1, remotes: [ { url: %q } ] }\n", url)})
	p.Start()
	p.await("it is connected to its hub", func() bool {
		var page struct{ LeafNodes int }
		return p.Monitor("/leafz", &page) == nil && page.LeafNodes == 1
	})
	return p
}

// LeafAddress is where leaves connect.
func (p *Process) LeafAddress() string { return fmt.Sprintf("127.0.0.1:%d", p.leafPort) }

// Address is where clients connect.
func (p *Process) Address() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

func connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// createStreams creates the streams. A cluster that has just come together refuses for a while.
func createStreams(t testing.TB, nc *nats.Conn, o streams.Options, domain string) {
	t.Helper()
	js := JetStream(t, nc)
	if domain != "" {
		var err error
		if js, err = jetstream.NewWithDomain(nc, domain); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		once, end := context.WithTimeout(ctx, 10*time.Second)
		_, err := streams.Create(once, js, o)
		end()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		wait(context.Background(), 100*time.Millisecond)
	}
}
