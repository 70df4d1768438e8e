package fleettest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	fleettest.Main()
	goleak.VerifyTestMain(m)
}

const patience = time.Minute

// put writes to the bucket of records until a leader takes it.
func put(t *testing.T, js jetstream.JetStream, value string) {
	t.Helper()
	for began := time.Now(); ; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := js.Publish(ctx, record.Subject("prod"), []byte(value))
		cancel()
		if err == nil {
			return
		}
		if time.Since(began) > patience {
			t.Fatal(err)
		}
	}
}

func get(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	for began := time.Now(); ; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		kv, err := js.KeyValue(ctx, record.Bucket)
		var e jetstream.KeyValueEntry
		if err == nil {
			e, err = kv.Get(ctx, "prod")
		}
		cancel()
		switch {
		case err == nil:
			return string(e.Value())
		case errors.Is(err, jetstream.ErrKeyNotFound):
			return ""
		case time.Since(began) > patience:
			t.Fatal(err)
		}
	}
}

func TestABrokerThatIsKilledKeepsWhatItTook(t *testing.T) {
	t.Parallel()
	p := fleettest.StartProcess(t, fleettest.ProcessConfig{})
	js := fleettest.JetStream(t, p.Connect())
	put(t, js, "one")
	p.Kill()
	p.Start()
	if got := get(t, js); got != "one" {
		t.Errorf("it has %q", got)
	}
}

func TestABrokerGoesBackInTime(t *testing.T) {
	t.Parallel()
	p := fleettest.StartProcess(t, fleettest.ProcessConfig{})
	js := fleettest.JetStream(t, p.Connect())
	put(t, js, "one")
	p.Stop()
	saved := p.SaveData()
	p.Start()
	put(t, js, "two")
	p.Kill()
	p.RestoreData(saved)
	p.Start()
	if got := get(t, js); got != "one" {
		t.Errorf("it has %q", got)
	}
}

func TestAClusterSurvivesItsLeader(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three brokers")
	}
	c := fleettest.StartCluster(t)
	js := fleettest.JetStream(t, c.Connect())
	put(t, js, "one")
	c.Leader().Kill()
	put(t, js, "two")
	c.Heal()
	if got := get(t, js); got != "two" {
		t.Errorf("it has %q", got)
	}
}

func TestALeafHearsOfItsHub(t *testing.T) {
	t.Parallel()
	hub := fleettest.StartProcess(t, fleettest.ProcessConfig{Domain: "hub"})
	leaf := fleettest.StartLeaf(t, hub)
	nc := leaf.Connect()
	listening, err := nc.SubscribeSync(record.AnnounceSubject("prod"))
	if err != nil {
		t.Fatal(err)
	}
	js := fleettest.JetStream(t, hub.Connect())
	for began := time.Now(); ; {
		put(t, js, "one")
		m, err := listening.NextMsg(100 * time.Millisecond) // its hub learns later that somebody listens
		if err == nil && string(m.Data) == "one" {
			break
		}
		if err == nil || time.Since(began) > patience {
			t.Fatal(m, err)
		}
	}
	m, err := nc.Request(record.DirectGet("$JS.hub.API", record.Stream, record.Subject("prod")), nil, patience)
	if err != nil || string(m.Data) != "one" {
		t.Errorf("it was told %v, %v", m, err)
	}
}

// A proxy that swallows loses nothing once it passes again, and one that cuts tells.
func TestTheNetworkIsBad(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p := fleettest.StartProxy(t, echo.Addr().String())
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(word string) {
		if _, err := c.Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(word string) {
		heard := make([]byte, len(word))
		if _, err := io.ReadFull(c, heard); err != nil || string(heard) != word {
			t.Fatalf("%q, %v", heard, err)
		}
	}
	say("one")
	hear("one")

	p.Swallow()
	say("two")
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 9)); n != 0 {
		t.Fatal(n, err)
	}
	_ = c.SetReadDeadline(time.Time{})
	p.Pass()
	hear("two")

	p.Delay(20 * time.Millisecond)
	began := time.Now()
	say("late")
	hear("late")
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("there and back took %s", took)
	}
	p.Cut()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection lives")
	}
}
