package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/access"
	"defenseclaw/cmd/internal/fleet/controller"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
)

// An observer sees what a channel says and who serves what, and can change nothing, also not by a consumer that delivers what it reads elsewhere.
func TestAnObserverOnlySees(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, _ := run(t, fleet.BrokerConfig{Dir: dir})
	creds := add(t, dir, access.User{Role: access.Observer, Name: "eye"})
	agent := connect(t, url, add(t, dir, access.User{Role: access.Agent, Name: "a1", Channel: "prod"}), nats.CustomInboxPrefix("_INBOX.a1"))
	ack, err := json.Marshal(record.Ack{Agent: "a1", Channel: "prod", Serves: "sha256:x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Request(record.AckSubject("prod", "a1"), ack, patience); err != nil {
		t.Fatal(err)
	}

	refused := make(chan error, 8)
	nc := connect(t, url, creds, nats.CustomInboxPrefix(record.ObserverInbox),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	for _, subject := range []string{
		record.AckSubject("prod", "a1"), record.Subject("prod"), record.SnapshotSubject("sha256:x", 0), record.ControllerSubject("prod"), "anything",
		"$JS.API.CONSUMER.CREATE." + record.Acks + ".x", "$JS.API.CONSUMER.CREATE." + record.Acks + ".x." + record.AckSubject("prod", "*"),
		"$JS.API.CONSUMER.DURABLE.CREATE." + record.Acks + ".x", "$JS.API.STREAM.PURGE." + record.Acks, "$JS.API.STREAM.DELETE." + record.Stream,
		"$JS.API.STREAM.UPDATE." + record.Acks, "$JS.API.STREAM.MSG.DELETE." + record.Acks, "$JS.API.STREAM.CREATE.x", "$JS.API.STREAM.MSG.GET." + record.Objects,
	} {
		if err := errors.Join(nc.Publish(subject, []byte("x")), nc.Flush()); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), subject) {
			t.Errorf("to publish %s: %v", subject, err)
		}
	}
	for _, subject := range []string{"_INBOX.>", "_INBOX.a1.>", record.AckSubject("prod", "*"), ">"} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("to subscribe %s: %v", subject, err)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := fleet.Connect(ctx, fleet.Config{URL: url, Creds: creds, Observe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reader, err := l.Reader("prod")
	if err != nil {
		t.Fatal(err)
	}
	v, err := reader.Read(ctx)
	if err != nil || len(v.Agents()) != 1 || v.Agents()[0].Serves != "sha256:x" {
		t.Errorf("the agents: %+v, %v", v, err)
	}
	if now, err := l.Now(ctx, "prod", &record.Keys{}); err != nil || now.Message != nil {
		t.Errorf("the record: %+v, %v", now, err)
	}
	if mark, err := controller.Last(ctx, l, "prod"); mark != nil || err != nil {
		t.Errorf("the controller: %v, %v", mark, err)
	}
}
