package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"defenseclaw/watcher/fleet/credentials"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go"
)

const (
	// pingEvery finds a connection that something on the way has swallowed within a minute: two pings go unanswered.
	pingEvery = 20 * time.Second
	// requestTimeout is how long a server has to answer. One that dies meanwhile never does.
	requestTimeout = 2 * time.Second
	dialTimeout    = 5 * time.Second
	firstDelay     = 2 * time.Second  // the upper limit of the pause after all servers were tried, doubled each time
	maxDelay       = 16 * time.Second // so that ten thousand come back within that, and not at once
)

// errNotFound says that there is no message of a subject.
var errNotFound = errors.New("there is none")

// wire is what an agent needs of its connection.
type wire interface {
	// get returns the last message of a subject of a stream. The error is errNotFound if there is none.
	get(ctx context.Context, stream, subject string) ([]byte, error)
	// put puts a message into the stream of a subject, and waits until it is there.
	put(ctx context.Context, subject string, message []byte) error
}

// link is a connection to the servers. It comes back by itself.
type link struct {
	nc  *nats.Conn
	api string // $JS.API, or that of a domain
}

// dial connects in the background; what becomes of it is told to the agent.
func (a *Agent) dial(ctx context.Context) (*link, error) {
	options := []nats.Option{
		nats.Name("defenseclaw agent " + a.cfg.Agent), nats.CustomInboxPrefix("_INBOX." + a.cfg.Agent),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.CustomReconnectDelay(reconnectDelay),
		nats.IgnoreAuthErrorAbort(), // credentials are repaired while the agent runs
		nats.ReconnectBufSize(-1),   // an acknowledgement that waited for a connection is an old one
		nats.PingInterval(a.ping),
		nats.SetCustomDialer(dialer{ctx}),
		nats.ConnectHandler(a.connected), nats.ReconnectHandler(a.connected), nats.DisconnectErrHandler(a.disconnected),
		nats.ReconnectErrHandler(a.disconnected), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { a.noteLink(err) }),
	}
	shown, err := credentials.Options(a.cfg.Creds, a.cfg.CA)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(strings.Join(a.cfg.Servers, ","), append(options, shown...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", strings.Join(a.cfg.Servers, ", "), err)
	}
	l := &link{nc: nc, api: "$JS.API"}
	if a.cfg.Domain != "" {
		l.api = "$JS." + a.cfg.Domain + ".API"
	}
	// The subscription comes before the first look, so nothing falls between: it is sent again at each reconnect, and
	// before connected is called.
	_, err = nc.Subscribe(record.AnnounceSubject(a.cfg.Channel), func(m *nats.Msg) {
		if a.usable() {
			_, _ = a.receive(m.Data, time.Now(), true) // it reports what is wrong
		}
	})
	if err != nil {
		nc.Close()
		return nil, err
	}
	return l, nil
}

// reconnectDelay is the pause after all servers were tried for the nth time.
func reconnectDelay(n int) time.Duration {
	limit := maxDelay
	if n < 4 {
		limit = min(limit, firstDelay<<max(n-1, 0))
	}
	return rand.N(limit) + 1
}

// dialer ends a dial with the agent.
type dialer struct{ ctx context.Context } //nolint:containedctx // the library's dialers get none

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
}

// connected is called by the library after each connect and reconnect.
func (a *Agent) connected(nc *nats.Conn) {
	err := credentials.CheckServer(nc)
	a.mu.Lock()
	first := !a.everConnected
	a.link = linkHealth{up: true, usable: err == nil, server: nc.ConnectedUrlRedacted()}
	if err != nil {
		a.link.err = err.Error()
	}
	a.everConnected = true
	a.ackDue = a.newest != nil
	a.signal()
	a.mu.Unlock()
	kind := EventReconnected
	if first {
		kind = EventConnected
	}
	e := Event{Kind: kind}
	if err != nil {
		e.Err = err.Error()
	}
	a.cfg.Tell(e)
	select {
	case a.look <- struct{}{}:
	default:
	}
}

// disconnected is called by the library when a connection ends, and when one cannot be made.
func (a *Agent) disconnected(nc *nats.Conn, err error) {
	if nc.IsClosed() {
		return
	}
	if err == nil {
		err = errors.New("the connection ended")
	}
	a.mu.Lock()
	was := a.link.up
	a.link = linkHealth{err: err.Error()}
	a.signal()
	a.mu.Unlock()
	if was {
		a.cfg.Tell(Event{Kind: EventLost, Err: err.Error()})
	}
}

// noteLink keeps what the server has said last, such as that something is not permitted.
func (a *Agent) noteLink(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.link.err = err.Error()
}

// usable reports whether there is a connection to a server that can be used.
func (a *Agent) usable() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.link.usable
}

func (l *link) get(ctx context.Context, stream, subject string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := l.nc.RequestWithContext(ctx, record.DirectGet(l.api, stream, subject), nil)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", subject, err)
	}
	switch status := m.Header.Get("Status"); status {
	case "":
	case "404":
		return nil, errNotFound
	default:
		return nil, fmt.Errorf("ask for %s: the server answered %s %s", subject, status, m.Header.Get("Description"))
	}
	if op := m.Header.Get("KV-Operation"); op == "DEL" || op == "PURGE" {
		return nil, errNotFound
	}
	return m.Data, nil
}

func (l *link) put(ctx context.Context, subject string, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := l.nc.RequestWithContext(ctx, subject, message)
	if err != nil {
		return fmt.Errorf("send to %s: %w", subject, err)
	}
	var answer struct {
		Stream string
		Error  *struct{ Description string }
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("send to %s: %w", subject, err)
	}
	if answer.Error != nil || answer.Stream == "" {
		return fmt.Errorf("send to %s: the server answered %.200q", subject, m.Data)
	}
	return nil
}
