package fleet_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/watcher/fleet"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

func TestABrokerThatWentBackTakesNothingBack(t *testing.T) {
	broker := fleettest.StartProcess(t, fleettest.ProcessConfig{})
	s := siteAt(t, broker)
	first := s.publish(files("a.rego", "1"))
	a, _ := s.start("web-1", func(c *fleet.Config) { c.Poll = 50 * time.Millisecond })
	s.applied("web-1", first)
	broker.Stop()
	old := broker.SaveData()
	broker.Start()
	second := s.publish(files("a.rego", "2"))
	s.applied("web-1", second)
	broker.Kill()
	broker.RestoreData(old)
	broker.Start()
	until(t, "it sees that the broker went back", func() bool {
		h := a.Health()
		return h.Connected && h.Records["replay"] > 0 && strings.Contains(h.Error, "published again")
	})
	if got := a.Health().Serves; got != second.Target.Revision {
		t.Errorf("it serves %s", got)
	}
	third := s.publish(files("a.rego", "3"))
	if ack := s.applied("web-1", third); ack.Floor != third.Epoch {
		t.Errorf("acknowledged %+v", ack)
	}
}

func TestWithoutABrokerTheLastGoodOneIsAtHand(t *testing.T) {
	broker := fleettest.StartProcess(t, fleettest.ProcessConfig{})
	s := siteAt(t, broker)
	dir := t.TempDir()
	first := s.publish(files("a.rego", "1"))
	a, _ := s.agent("web-1", dir, nil)
	stop := s.run(a)
	s.applied("web-1", first)
	stop()
	broker.Stop()
	a, e := s.agent("web-1", dir, nil)
	s.run(a)
	if _, err := a.FS(); !errors.Is(err, fleet.ErrNoContact) {
		t.Errorf("FS: %v", err)
	}
	if tree, revision := a.LastGood(); tree == nil || revision != first.Target.Revision {
		t.Errorf("the last good one is %q", revision)
	}
	a.Serves(first.Target.Revision, "")
	e.mu.Lock()
	e.serves = first.Target.Revision
	e.mu.Unlock()
	broker.Start()
	until(t, "it has heard of the record", func() bool { return a.Health().State == record.Applied && !a.Health().Contact.IsZero() })
	if e.told(fleet.EventApplied) {
		t.Error("what served before was told as new")
	}
}

func TestAnAgentNeedsThesePermissionsAndNoMore(t *testing.T) {
	seed, public := nkey(t)
	quietSeed, quietPublic := nkey(t)
	permit := func(user, id string, subscribe ...string) string {
		publish := []string{record.AckSubject(channel, id), record.DirectGet("$JS.API", record.Stream, record.Subject(channel)), record.DirectGet("$JS.API", record.Objects, record.ObjectSubjects)}
		quoted := func(all []string) string { return `"` + strings.Join(all, `", "`) + `"` }
		return fmt.Sprintf("{nkey: %s, permissions: {publish: [%s], subscribe: [%s]}}", user, quoted(publish), quoted(subscribe))
	}
	broker := fleettest.StartProcess(t, fleettest.ProcessConfig{Extra: `
no_auth_user: admin
authorization {users: [
  {user: admin, password: admin}
  ` + permit(public, "web-1", "_INBOX.web-1.>", record.AnnounceSubject(channel)) + `
  ` + permit(quietPublic, "web-2", "_INBOX.web-2.>") + `
]}`})
	s := siteAt(t, broker)
	first := s.publish(files("a.rego", "1"))
	a, _ := s.start("web-1", func(c *fleet.Config) { c.Creds = seed })
	s.start("web-2", func(c *fleet.Config) { c.Creds, c.Poll = quietSeed, 50*time.Millisecond })
	s.applied("web-1", first)
	s.applied("web-2", first)
	// One hears of it by the push, the other, who hears of none, by its poll.
	second := s.publish(files("a.rego", "2"))
	s.applied("web-1", second)
	s.applied("web-2", second)
	if h := a.Health(); h.Bytes["push"] == 0 || strings.Contains(h.Error, "ermission") {
		t.Errorf("%+v", h)
	}

	option, err := nats.NkeyOptionFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 10)
	nc := broker.Connect(option, nats.CustomInboxPrefix("_INBOX.web-1"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	for _, subject := range []string{record.Subject(channel), record.AckSubject(channel, "web-2"), record.AnnounceSubject(channel), record.SnapshotSubject("x", 0)} {
		if err := errors.Join(nc.Publish(subject, []byte("x")), nc.Flush()); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !strings.Contains(err.Error(), subject) {
			t.Errorf("%s: %v", subject, err)
		}
	}
}

// nkey makes a user: a file with the seed, and the public key.
func nkey(t *testing.T) (file, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, public
}

func TestTwoAgentsOfOneNameAreToldApart(t *testing.T) {
	s := newSite(t)
	var mu sync.Mutex
	instances := map[string]bool{}
	nc := s.broker.Connect()
	_, err := nc.Subscribe(record.AckSubject(channel, "web-1"), func(m *nats.Msg) {
		var a record.Ack
		if json.Unmarshal(m.Data, &a) == nil {
			mu.Lock()
			defer mu.Unlock()
			instances[a.Instance] = true
		}
	})
	if err := errors.Join(err, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	s.start("web-1", nil)
	s.start("web-1", nil)
	s.publish(files("a.rego", "1"))
	until(t, "both acknowledge", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(instances) == 2
	})
}

func TestAConnectionThatIsCutComesBack(t *testing.T) {
	s := newSite(t)
	proxy := fleettest.StartProxy(t, strings.TrimPrefix(s.broker.URL(), "nats://"))
	first := s.publish(files("a.rego", "1"))
	a, e := s.start("web-1", func(c *fleet.Config) { c.Servers = []string{proxy.URL()} })
	s.applied("web-1", first)
	proxy.Refuse()
	proxy.Cut()
	until(t, "it is lost", func() bool { return !a.Health().Connected && e.told(fleet.EventLost) })
	second := s.publish(files("a.rego", "2"))
	if err := a.Refresh(t.Context()); err == nil {
		t.Error("it was refreshed without a connection")
	}
	proxy.Pass()
	s.applied("web-1", second)
	if !e.told(fleet.EventReconnected) {
		t.Error("that it is back was not told")
	}
}

func TestAnOldServerIsRefusedInASentence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = fmt.Fprintf(c, "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"headers\":true,\"max_payload\":1048576}\r\n")
				lines := bufio.NewScanner(c)
				for lines.Scan() {
					if lines.Text() == "PING" {
						_, _ = fmt.Fprint(c, "PONG\r\n")
					}
				}
			}()
		}
	}()
	s := newSite(t)
	a, _ := s.start("web-1", func(c *fleet.Config) { c.Servers = []string{"nats://" + l.Addr().String()} })
	until(t, "it says so", func() bool {
		h := a.Health()
		return strings.Contains(h.Error, "is NATS 2.9.10: 2.11 or later was expected") && !h.Connected
	})
}

func TestAFileOfKeysOrCredentialsThatIsMissingRefusesTheStart(t *testing.T) {
	s := newSite(t)
	missing := filepath.Join(t.TempDir(), "missing")
	good := fleet.Config{
		Servers: []string{s.broker.URL()}, Channel: channel, Agent: "web-1", Keys: s.keys, Dir: t.TempDir(),
		Revision: fleettest.Revision, Tree: treeOf, Apply: (&engine{}).apply, Check: (&engine{}).check,
	}
	for name, change := range map[string]func(*fleet.Config){
		"keys":        func(c *fleet.Config) { c.Keys = missing },
		"no keys":     func(c *fleet.Config) { c.Keys = "" },
		"credentials": func(c *fleet.Config) { c.Creds = missing },
		"authority":   func(c *fleet.Config) { c.CA = s.keys },
		"channel":     func(c *fleet.Config) { c.Channel = "a.b" },
		"agent":       func(c *fleet.Config) { c.Agent = "" },
	} {
		cfg := good
		change(&cfg)
		if _, err := fleet.New(cfg); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if _, err := fleet.New(good); err != nil {
		t.Error(err)
	}
}
