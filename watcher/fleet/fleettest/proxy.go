package fleettest

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy passes TCP connections on to a broker, and can be a bad network. Safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string
	all      sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]bool
	open     chan struct{} // closed while bytes pass
	delay    time.Duration
	refusing bool
	text     []byte // see [Proxy.When]
	then     Then
	reached  int
	held     chan struct{} // closed by Pass
}

// Then is what becomes of a connection whose client has said something: see [Proxy.When].
type Then int

// What becomes of it.
const (
	Hold Then = iota + 1 // what was said waits, and all after it
	Cut                  // what was said arrives, and the connection breaks before an answer comes
	Lose                 // what was said waits, and breaks the connection instead of arriving
)

// When does something to each connection whose client says a text, such as the subject of a message. [Proxy.Pass] ends it.
func (p *Proxy) When(text string, then Then) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.then, p.reached = []byte(text), then, 0
}

// Reached is how many connections have come to [Proxy.When].
func (p *Proxy) Reached() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reached
}

// StartProxy starts one to an address, such as [Process.Address], and ends it with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the test
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, conns: map[net.Conn]bool{}, open: make(chan struct{}), held: make(chan struct{})}
	close(p.open)
	p.all.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Pass()
		p.Refuse()
		p.all.Wait()
	})
	return p
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// URL is where it listens, for clients of NATS.
func (p *Proxy) URL() string { return "nats://" + p.Address() }

// Swallow lets nothing pass, and breaks no connection: nobody is told, as when a cable is pulled. [Proxy.Pass] ends it.
func (p *Proxy) Swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		p.open = make(chan struct{})
	default:
	}
}

// Pass lets pass what [Proxy.Swallow] held back, and connections that [Proxy.Refuse] refused.
func (p *Proxy) Pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing, p.text = false, nil
	close(p.held)
	p.held = make(chan struct{})
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

// Delay makes each piece of a stream late.
func (p *Proxy) Delay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

// Refuse cuts all connections, and each new one, until [Proxy.Pass].
func (p *Proxy) Refuse() {
	p.mu.Lock()
	p.refusing = true
	p.mu.Unlock()
	p.Cut()
}

// Cut breaks all connections. New ones pass.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Connections is how many there are.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2
}

func (p *Proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.pass(from) })
	}
}

// pass is one connection, until an end of it closes.
func (p *Proxy) pass(from net.Conn) {
	defer func() { _ = from.Close() }()
	to, err := net.Dial("tcp", p.target) //nolint:noctx // on loopback it takes no time
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	if !p.add(from, to) {
		return
	}
	defer p.remove(from, to)
	var both sync.WaitGroup
	for _, copies := range []func(){func() { p.copy(from, to, true) }, func() { p.copy(to, from, false) }} {
		both.Go(func() {
			copies()
			_ = from.Close()
			_ = to.Close()
		})
	}
	both.Wait()
}

func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusing {
		return false
	}
	for _, c := range conns {
		p.conns[c] = true
	}
	return true
}

func (p *Proxy) remove(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
	}
}

// copy passes on what comes from one end, until one of the two is closed.
func (p *Proxy) copy(from, to net.Conn, fromClient bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.mu.Lock()
			gates, delay, then := []chan struct{}{p.open}, p.delay, Then(0)
			if fromClient && p.text != nil && bytes.Contains(buffer[:n], p.text) {
				then = p.then
				p.reached++
			}
			if then == Hold || then == Lose {
				gates = append(gates, p.held)
			}
			p.mu.Unlock()
			wait(context.Background(), delay)
			for _, gate := range gates {
				<-gate
			}
			switch then {
			case Cut:
				_ = from.Close() // first, so that no answer passes
			case Lose:
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
