// Package fleettest has what tests of a fleet need: brokers, keys, and a publisher that checks nothing.
package fleettest

import (
	"testing"
	"time"

	"defenseclaw/watcher/fleet/streams"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience is far longer than anything here takes.
const patience = time.Minute

// Broker is a real server within the test's process. Its data outlives [Broker.Stop].
type Broker struct {
	t      testing.TB
	opts   server.Options
	server *server.Server
}

// StartBroker starts a broker with the streams of a fleet, and ends it with the test.
func StartBroker(t testing.TB) *Broker {
	t.Helper()
	b := &Broker{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: freePort(t), JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
		NoSigs: true, NoLog: true,
	}}
	b.Start()
	t.Cleanup(b.Stop)
	createStreams(t, b.Connect(), streams.Options{}, "")
	return b
}

// Start starts it anew after [Broker.Stop], at the same address and with the same data.
func (b *Broker) Start() {
	b.t.Helper()
	opts := b.opts
	s, err := server.NewServer(&opts)
	if err != nil {
		b.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		b.t.Fatal("the broker does not answer")
	}
	b.server = s
}

// Stop ends it. Connections break.
func (b *Broker) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// URL is where it listens.
func (b *Broker) URL() string { return b.server.ClientURL() }

// Connect opens a connection that ends with the test.
func (b *Broker) Connect(options ...nats.Option) *nats.Conn {
	b.t.Helper()
	return connect(b.t, b.URL(), options...)
}

// JetStream is the JetStream of a connection.
func JetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
