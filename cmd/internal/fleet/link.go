package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"defenseclaw/watcher/fleet/credentials"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrUnreachable is wrapped when no broker answers.
var ErrUnreachable = errors.New("no broker answers")

// Config says where the broker is, and who asks.
type Config struct {
	URL    string // nats://host:port or tls://host:port, several with commas between them; see [ParseURL]
	Creds  string // a file of credentials: see package watcher/fleet/credentials
	CA     string // a file with the certificates that sign the broker's; empty: the system's
	Domain string // the JetStream domain; empty: the broker's own
	Name   string // of the connection, as the broker shows it

	Observe bool // it only reads, by [Link.Reader], [Link.Now] and [Link.JetStream]: an observer's rights are enough
}

// Link is a connection to the broker. Close it after use. Safe for concurrent use.
type Link struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	prefix string // of JetStream's API
	clock  func() time.Time
	denied *atomic.Pointer[error] // what the broker does not permit; it answers no such request
}

// ParseURL splits nats://h1,h2/CHANNEL into the servers and the channel, which may be missing.
func ParseURL(text string) (servers, channel string, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "nats" && scheme != "tls" {
		return "", "", fmt.Errorf("the broker is %q: nats://HOST:PORT or tls://HOST:PORT was expected", text)
	}
	hosts, channel, _ := strings.Cut(strings.ReplaceAll(rest, scheme+"://", ""), "/")
	var all []string
	for host := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse(scheme + "://" + strings.TrimSpace(host))
		switch {
		case err != nil:
			return "", "", fmt.Errorf("the broker is %q: %w", text, err)
		case u.Hostname() == "":
			return "", "", fmt.Errorf("the broker is %q: a host was expected after %s://", text, scheme)
		case u.User != nil:
			return "", "", errors.New("the URL of the broker has a password in it, which logs would show: a file of credentials was expected")
		}
		all = append(all, u.String())
	}
	if channel != "" {
		if err := record.CheckName("the channel", channel); err != nil {
			return "", "", err
		}
	}
	return strings.Join(all, ","), channel, nil
}

const (
	defaultPrefix = "$JS.API"

	dialTimeout  = 3 * time.Second
	firstTimeout = time.Second // of a request; each further one has twice the time, up to longTimeout
	longTimeout  = 8 * time.Second
	pause        = 100 * time.Millisecond // before a request is made again
	pingEvery    = 20 * time.Second
)

// Connect connects to the broker. The error wraps [ErrUnreachable] if none answers.
func Connect(ctx context.Context, cfg Config) (*Link, error) {
	servers, _, err := ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	options, err := credentials.Options(cfg.Creds, cfg.CA)
	if err != nil {
		return nil, err
	}
	options = append(options, nats.Name(cmp.Or(cfg.Name, "defenseclaw publisher")), nats.Timeout(dialTimeout), nats.MaxReconnects(-1),
		nats.ReconnectWait(pause), nats.ReconnectJitter(pause, pause), nats.ReconnectBufSize(-1), nats.PingInterval(pingEvery))
	if cfg.Observe {
		options = append(options, nats.CustomInboxPrefix(record.ObserverInbox))
	}
	denied := &atomic.Pointer[error]{}
	options = append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			err = fmt.Errorf("the broker does not permit it: %w", err)
			denied.Store(&err)
		}
	}))
	nc, err := dial(ctx, servers, options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", servers, ErrUnreachable, err)
	}
	l, err := NewLink(nc, cfg.Domain)
	if err == nil {
		l.denied = denied
		err = credentials.CheckServer(nc)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: %w", servers, err)
	}
	return l, nil
}

// dial tries again where the connection breaks while it is made, or is called unauthorized: a broker that takes up new users drops
// those who come just then, and says so of those that have not yet told who they are.
func dial(ctx context.Context, servers string, options []nats.Option) (nc *nats.Conn, err error) {
	for attempt := range 3 {
		if attempt > 0 && !sleep(ctx, pause) {
			break
		}
		nc, err = nats.Connect(servers, options...)
		if err == nil || errors.Is(err, nats.ErrNoServers) || ctx.Err() != nil {
			break
		}
	}
	return nc, err
}

// NewLink makes a Link of a connection, which it closes in the end.
func NewLink(nc *nats.Conn, domain string) (*Link, error) {
	l := &Link{nc: nc, prefix: defaultPrefix, clock: time.Now, denied: &atomic.Pointer[error]{}}
	var err error
	if domain == "" {
		l.js, err = jetstream.New(nc)
	} else {
		l.prefix = "$JS." + domain + ".API"
		l.js, err = jetstream.NewWithDomain(nc, domain)
	}
	return l, err
}

// Close ends the connection.
func (l *Link) Close() { l.nc.Close() }

// JetStream is the connection's, for what this package does not do.
func (l *Link) JetStream() jetstream.JetStream { return l.js }

// Timeout is the error of a command whose time ran out, with what it waited for.
type Timeout struct {
	What string
	Err  error // of the last attempt; may be nil
}

func (e *Timeout) Error() string {
	if e.Err == nil {
		return "time ran out: " + e.What
	}
	return fmt.Sprintf("time ran out: %s: %v", e.What, e.Err)
}

func (e *Timeout) Unwrap() error { return e.Err }

// again calls try, with more time for each further attempt, until it says that it is done or ctx ends. A request to a server that
// dies is never answered, so none may take all of ctx's time. The error of an attempt that is to be made again is not lost:
// the [Timeout] has it.
func (l *Link) again(ctx context.Context, what string, try func(context.Context) (done bool, err error)) error {
	timeout := firstTimeout
	var last error
	for {
		attempt, cancel := context.WithTimeout(ctx, timeout)
		done, err := try(attempt)
		cancel()
		if done {
			return err
		}
		if denied := l.denied.Load(); denied != nil {
			return *denied
		}
		if err != nil && (last == nil || !errors.Is(err, context.DeadlineExceeded)) {
			last = err
		}
		timeout = min(2*timeout, longTimeout)
		if !sleep(ctx, pause) {
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return &Timeout{what, last}
		}
	}
}

// sleep returns false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
