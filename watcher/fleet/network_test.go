package fleet_test

import (
	"strings"
	"testing"
	"time"

	"defenseclaw/watcher/fleet"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// A site of its own has a leaf node, a nats-server without JetStream. When its uplink breaks, agents keep their connection, and
// hear nothing: of what is published meanwhile no push ever comes.
func TestAgentsBehindALeafNode(t *testing.T) {
	hub := fleettest.StartProcess(t, fleettest.ProcessConfig{Domain: "hub"})
	uplink := fleettest.StartProxy(t, hub.LeafAddress())
	leaf := fleettest.StartLeafOf(t, "nats-leaf://"+uplink.Address())
	s := siteAt(t, hub)
	behind := func(c *fleet.Config) { c.Servers, c.Domain, c.Poll = []string{leaf.URL()}, "hub", 50*time.Millisecond }
	first := s.publish(files("a.rego", "1"))
	a, e := s.start("leaf-1", behind)
	s.start("leaf-2", func(c *fleet.Config) { behind(c); c.Poll = time.Hour })
	s.applied("leaf-1", first)
	s.applied("leaf-2", first)
	second := s.publish(files("a.rego", "2"))
	s.applied("leaf-1", second)
	s.applied("leaf-2", second) // who polls once an hour heard it by the push

	uplink.Refuse()
	var contact time.Time
	until(t, "the poll is not answered any more", func() bool {
		h := a.Health()
		contact = h.Contact
		return h.Error != "" && h.Connected && !e.told(fleet.EventLost)
	})
	third := s.publish(files("a.rego", "3"))
	if err := a.Refresh(t.Context()); err == nil {
		t.Error("it was refreshed without an uplink")
	}
	if h := a.Health(); h.Serves != second.Target.Revision || h.Contact != contact {
		t.Errorf("it serves %s, and its last contact is %s; %s and %s were expected", h.Serves, h.Contact, second.Target.Revision, contact)
	}
	uplink.Pass()
	if ack := s.applied("leaf-1", third); ack.Error != "" {
		t.Errorf("%+v", ack)
	}
	if e.told(fleet.EventLost) || e.told(fleet.EventReconnected) {
		t.Error("its own connection was lost, and only the uplink was cut")
	}

	// So it is when the hub is killed, and started again with what it has.
	hub.Kill()
	hub.Start()
	fourth := s.publish(files("a.rego", "4"))
	s.applied("leaf-1", fourth)
	fifth := s.publish(files("a.rego", "5"))
	s.applied("leaf-2", fifth)
}

// Something on the way swallows what both ends say, and breaks no connection.
func TestASwallowedConnectionIsFoundAndReplaced(t *testing.T) {
	s := newSite(t)
	network := fleettest.StartProxy(t, strings.TrimPrefix(s.broker.URL(), "nats://"))
	first := s.publish(files("a.rego", "1"))
	a, e := s.agent("web-1", t.TempDir(), func(c *fleet.Config) { c.Servers, c.Poll = []string{network.URL()}, 50*time.Millisecond })
	a.PingEvery(200 * time.Millisecond)
	s.run(a)
	s.applied("web-1", first)

	network.Swallow()
	second := s.publish(files("a.rego", "2"))
	until(t, "the connection is given up, which nobody has closed", func() bool { return e.told(fleet.EventLost) && !a.Health().Connected })
	h := a.Health()
	if h.Serves != first.Target.Revision || h.Error == "" || h.Contact.IsZero() {
		t.Errorf("%+v", h)
	}
	if err := a.Refresh(t.Context()); err == nil {
		t.Error("it was refreshed without a network")
	}
	network.Pass()
	s.applied("web-1", second)
	until(t, "it is as new as the channel again", func() bool {
		now := a.Health()
		return now.Connected && now.Contact.After(h.Contact) && now.Error == "" && now.State == record.Applied
	})
}
