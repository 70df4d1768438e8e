package broker_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/access"
	"defenseclaw/cmd/internal/fleet/broker"
	"defenseclaw/watcher/fleet/credentials"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// run serves a broker until the test ends.
func run(t *testing.T, cfg fleet.BrokerConfig) (url string, logged func() string) {
	t.Helper()
	ready, ended := make(chan string, 1), make(chan error, 1)
	var mu sync.Mutex
	var lines []string
	cfg.Addr, cfg.Ready = "127.0.0.1:0", func(url string) { ready <- url }
	cfg.Log = func(line string) { mu.Lock(); lines = append(lines, line); mu.Unlock() }
	ctx, stop := context.WithCancel(context.Background())
	go func() { ended <- broker.Run(ctx, cfg) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case url = <-ready:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return url, func() string { mu.Lock(); defer mu.Unlock(); return strings.Join(lines, "\n") }
}

// add makes a user of a broker, and returns its file of credentials.
func add(t *testing.T, dir string, u access.User) string {
	t.Helper()
	u, seed, err := access.NewUser(u)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), u.Name+".nk")
	if err := errors.Join(os.WriteFile(file, seed, 0o600), access.AddUser(filepath.Join(dir, fleet.UsersFile), u)); err != nil {
		t.Fatal(err)
	}
	return file
}

// connect connects as soon as the broker knows the user.
func connect(t *testing.T, url, creds string, more ...nats.Option) *nats.Conn {
	t.Helper()
	options, err := credentials.Options(creds, "")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; {
		nc, err := nats.Connect(url, append(options, more...)...)
		if err == nil {
			t.Cleanup(nc.Close)
			return nc
		}
		if !errors.Is(err, nats.ErrAuthorization) || time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // the file of users is read again each second
	}
}

func TestAnAgentMayDoWhatAnAgentDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, _ := run(t, fleet.BrokerConfig{Dir: dir})
	creds := add(t, dir, access.User{Role: access.Agent, Name: "a1", Channel: "prod"})
	add(t, dir, access.User{Role: access.Agent, Name: "a2", Channel: "prod"})
	refused := make(chan error, 8)
	nc := connect(t, url, creds, nats.CustomInboxPrefix("_INBOX.a1"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))

	for _, subject := range []string{
		record.AckSubject("prod", "a2"), record.AckSubject("test", "a1"), record.Subject("prod"), record.SnapshotSubject("sha256:x", 0),
		"$JS.API.STREAM.MSG.GET." + record.Stream, "$JS.API.CONSUMER.CREATE." + record.Acks + ".x", "$JS.API.STREAM.PURGE." + record.Objects,
		"$JS.API.STREAM.DELETE." + record.Stream, record.DirectGet("$JS.API", record.Stream, record.Subject("test")),
		record.DirectGet("$JS.API", record.Acks, record.AckSubject("prod", "a2")), record.ControllerSubject("prod"), "anything",
	} {
		if err := nc.Publish(subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), subject) {
			t.Errorf("to publish %s: %v", subject, err)
		}
	}
	for _, subject := range []string{record.AckSubject("prod", "*"), record.AnnounceSubject("test"), "_INBOX.a2.>", ">"} {
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
	if _, err := nc.SubscribeSync(record.AnnounceSubject("prod")); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{record.AckSubject("prod", "a1"), record.DirectGet("$JS.API", record.Stream, record.Subject("prod"))} {
		if _, err := nc.Request(subject, nil, patience); err != nil {
			t.Errorf("%s: %v", subject, err)
		}
	}
	select {
	case err := <-refused:
		t.Errorf("what an agent needs is refused: %v", err)
	default:
	}
}

// A publisher's rules are enough for all that a publisher does.
func TestAPublisherMayPublish(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, logged := run(t, fleet.BrokerConfig{Dir: dir})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := fleet.Connect(ctx, fleet.Config{URL: url, Creds: filepath.Join(dir, fleet.PublisherFile)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	private, _, err := fleet.NewKey("team", record.RoleRelease)
	if err != nil {
		t.Fatal(err)
	}
	by, err := fleet.ReadSigners(private)
	if err != nil {
		t.Fatal(err)
	}
	now, err := l.Now(ctx, "prod", by.Keys())
	if err != nil {
		t.Fatal(err)
	}
	done, err := l.Publish(ctx, fleet.Draft{After: now, Files: fleet.Files{Revision: "sha256:00"}}, by)
	if err != nil {
		t.Fatal(err)
	}
	history, err := l.History(ctx, "prod", by.Keys())
	if err != nil || len(history) != 1 || history[0].Sequence != done.Now.Sequence {
		t.Errorf("the history: %v, %v", history, err)
	}
	if _, err = l.Forget(ctx, "prod", "a1"); err == nil {
		_, err = l.View(ctx, "prod")
	}
	if err := errors.Join(err, l.Purge(ctx)); err != nil {
		t.Error(err)
	}
	if logged() != "" {
		t.Errorf("the broker says: %s", logged())
	}
}

// A file of users that is wrong changes nothing, and is reported.
func TestUsersThatAreWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, logged := run(t, fleet.BrokerConfig{Dir: dir})
	users := filepath.Join(dir, fleet.UsersFile)
	text, err := os.ReadFile(users)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(users, []byte("boss x y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); logged() == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is said")
		}
	}
	if !strings.Contains(logged(), `line 1: the role is "boss"`) {
		t.Errorf("it says %s", logged())
	}
	connect(t, url, filepath.Join(dir, fleet.PublisherFile))
	if err := os.WriteFile(users, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]fleet.BrokerConfig{
		"only a loopback address": {Addr: "0.0.0.0:0", Dir: dir}, "HOST:PORT was expected": {Addr: "x", Dir: dir}, "both or none": {Addr: "127.0.0.1:0", Dir: dir, TLSCert: "x"},
	} {
		if err := broker.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// What fleet init and fleet user print is configuration that nats-server reads as the rules that the broker here has.
func TestTheBlocksAreWhatANATSServerReads(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{"", "hub"} {
		var all []access.User
		text := "authorization { users: [\n"
		for _, u := range []access.User{
			{Role: access.Agent, Name: "a1", Channel: "prod"}, {Role: access.Publisher, Name: "p"}, {Role: access.Controller, Name: "c"}, {Role: access.Observer, Name: "o"},
		} {
			u, _, err := access.NewUser(u)
			if err != nil {
				t.Fatal(err)
			}
			all, text = append(all, u), text+u.Block(domain)
		}
		file := filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(file, []byte(text+"] }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		opts, err := server.ProcessConfigFile(file)
		if err != nil || len(opts.Nkeys) != len(all) {
			t.Fatalf("%d users, %v", len(opts.Nkeys), err)
		}
		for _, got := range opts.Nkeys {
			i := slices.IndexFunc(all, func(u access.User) bool { return u.Key == got.Nkey })
			if i < 0 {
				t.Fatalf("a user %s", got.Nkey)
			}
			want := all[i].Rules(domain)
			if !slices.Equal(got.Permissions.Publish.Allow, want.Publish) || !slices.Equal(got.Permissions.Subscribe.Allow, want.Subscribe) {
				t.Errorf("%s: %v and %v, where %+v was expected", all[i].Name, got.Permissions.Publish, got.Permissions.Subscribe, want)
			}
		}
	}
}
