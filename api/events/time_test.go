package events

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes, so that a server and its client can live in a
// bubble of fake time.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
	close       func()
}

func listen() *pipes {
	p := &pipes{connections: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.close(); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.connections <- server
	return client, nil
}

// inFakeTime serves a hub as the sidecar does, with time-outs for requests that are far shorter than
// a stream, and gives the body of one stream.
func inFakeTime(t *testing.T, protocol func(*http.Protocols), cfg Config, test func(t *testing.T, h *Hub, body *bufio.Reader)) {
	synctest.Test(t, func(t *testing.T) {
		h := create(t, cfg)
		var protocols http.Protocols
		protocol(&protocols)
		p := listen()
		server := &http.Server{Handler: h, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute, Protocols: &protocols}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(p) })
		transport := &http.Transport{DialContext: p.dial, Protocols: &protocols}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://sidecar/policy/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		test(t, h, bufio.NewReader(response.Body))
		response.Body.Close()
		transport.CloseIdleConnections()
		server.Close()
		serving.Wait()
	})
}

var protocols = map[string]func(*http.Protocols){
	"HTTP/1": func(p *http.Protocols) { p.SetHTTP1(true) },
	"HTTP/2": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
}

// block reads up to the next empty line.
func block(t *testing.T, body *bufio.Reader) string {
	t.Helper()
	var text strings.Builder
	for {
		line, err := body.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended after %q: %v", text.String(), err)
		}
		if line == "\n" {
			return text.String()
		}
		text.WriteString(line)
	}
}

func TestASilentStreamOutlivesRequestTimeouts(t *testing.T) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, protocol, Config{}, func(t *testing.T, h *Hub, body *bufio.Reader) {
				block(t, body) // the greeting
				begin := time.Now()
				for beat := 1; beat <= 40; beat++ {
					if got := block(t, body); got != ": still here\n" {
						t.Fatalf("a comment was expected: %q", got)
					}
					if since := time.Since(begin); since != time.Duration(beat)*15*time.Second {
						t.Fatalf("beat %d after %v", beat, since)
					}
				}
				publish(h, "reloaded")
				if got := block(t, body); !strings.Contains(got, `"transition":"reloaded"`) {
					t.Fatalf("after ten minutes: %q", got)
				}
			})
		})
	}
}

func TestABusyStreamHasNoHeartbeat(t *testing.T) {
	inFakeTime(t, protocols["HTTP/1"], Config{}, func(t *testing.T, h *Hub, body *bufio.Reader) {
		block(t, body)
		for range 10 {
			time.Sleep(14 * time.Second)
			publish(h, "reloaded")
			if got := block(t, body); !strings.Contains(got, "event: lifecycle\n") {
				t.Fatalf("an event was expected: %q", got)
			}
		}
	})
}

func TestASlowReaderGetsAGap(t *testing.T) {
	inFakeTime(t, protocols["HTTP/1"], Config{Keep: 8, WriteTimeout: time.Hour}, func(t *testing.T, h *Hub, body *bufio.Reader) {
		block(t, body)
		publish(h, "1") // is being written, to a pipe that holds nothing
		synctest.Wait()
		for n := 2; n <= 20; n++ {
			publish(h, fmt.Sprint(n))
		}
		var frames []string
		for len(frames) < 10 {
			frames = append(frames, block(t, body))
		}
		if !strings.Contains(frames[0], `"transition":"1"`) {
			t.Errorf("first %q", frames[0])
		}
		if want := fmt.Sprintf("id: %s-12\nevent: gap\ndata: {\"reason\":\"expired\",\"missed\":11}\n", h.run); frames[1] != want {
			t.Errorf("then %q, want %q", frames[1], want)
		}
		for i, text := range frames[2:] {
			if !strings.Contains(text, fmt.Sprintf(`"transition":"%d"`, 13+i)) {
				t.Errorf("then %q", text)
			}
		}
	})
}

func TestAWriteHasATimeout(t *testing.T) {
	inFakeTime(t, protocols["HTTP/1"], Config{}, func(t *testing.T, h *Hub, body *bufio.Reader) {
		block(t, body)
		h.Publish(Event{Details: map[string]any{"text": strings.Repeat("x", 1<<20)}})
		synctest.Wait()
		time.Sleep(5*time.Second - time.Millisecond)
		synctest.Wait()
		if h.openStreams() != 1 {
			t.Error("dropped too early")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if h.openStreams() != 0 {
			t.Error("not dropped")
		}
	})
}
