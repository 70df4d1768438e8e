package fleet

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
)

// refusing is a broker that calls the first connections unauthorized, as one does that takes up new users meanwhile.
func refusing(t *testing.T, refusals int32) (url string, asked *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	asked = &atomic.Int32{}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			n := asked.Add(1)
			_, _ = c.Write([]byte("INFO {\"server_id\":\"x\",\"version\":\"2.11.0\",\"proto\":1,\"max_payload\":1048576}\r\n"))
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if !strings.HasPrefix(lines.Text(), "PING") {
					continue
				}
				if n <= refusals {
					_, _ = c.Write([]byte("-ERR 'Authorization Violation'\r\n"))
					break
				}
				_, _ = c.Write([]byte("PONG\r\n"))
			}
			c.Close()
		}
	}()
	return "nats://" + listener.Addr().String(), asked
}

func TestABrokerThatTakesUpUsersIsAskedAgain(t *testing.T) {
	url, asked := refusing(t, 2)
	nc, err := dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if n := asked.Load(); n != 3 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestABrokerThatRefusesIsAskedThreeTimes(t *testing.T) {
	url, asked := refusing(t, 1000)
	if _, err := dial(t.Context(), url, nil); !errors.Is(err, nats.ErrAuthorization) || asked.Load() != 3 {
		t.Errorf("%v, after %d times", err, asked.Load())
	}
}
