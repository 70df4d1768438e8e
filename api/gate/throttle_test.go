package gate_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/api/gate"
)

func create(t *testing.T, cfg gate.Config) *gate.Gate {
	t.Helper()
	cfg.Token = "t"
	g, err := gate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// from sends a request from an address to a gate bound beyond loopback, and returns the status; 200 when it
// passes.
func from(g *gate.Gate, address, token string) int {
	r := httptest.NewRequest(http.MethodGet, "http://192.0.2.1/policy/status", nil)
	r.RemoteAddr = address
	r.Header.Set("Authorization", "Bearer "+token)
	if _, d := g.Check(r, gate.Read); d != nil {
		return d.Status
	}
	return http.StatusOK
}

func TestARemoteAddressGetsItsRateAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := create(t, gate.Config{BindHost: "0.0.0.0", PerSecond: 10})
		for i := range 20 { // twice of what a second gives
			if got := from(g, "203.0.113.7:1000", "t"); got != http.StatusOK {
				t.Fatalf("request %d: %d", i, got)
			}
		}
		if got := from(g, "203.0.113.7:1001", "t"); got != http.StatusTooManyRequests {
			t.Errorf("request 21, from another port: %d", got)
		}
		for _, other := range []string{"203.0.113.8:1000", "[2001:db8::1]:1000"} {
			if got := from(g, other, "t"); got != http.StatusOK {
				t.Errorf("%s pays for another address: %d", other, got)
			}
		}
		for range 20 {
			from(g, "[2001:db8:0:0:1::7]:1000", "t")
		}
		if got := from(g, "[2001:db8::1]:1000", "t"); got != http.StatusTooManyRequests {
			t.Errorf("an IPv6 network of 64 bits is one caller: %d", got)
		}
		for _, local := range []string{"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "@"} {
			for range 50 {
				if got := from(g, local, "t"); got != http.StatusOK {
					t.Fatalf("%s is bounded: %d", local, got)
				}
			}
		}
		time.Sleep(time.Second)
		if got := from(g, "203.0.113.7:1000", "t"); got != http.StatusOK {
			t.Errorf("a second later: %d", got)
		}
	})
}

func TestGuessingTokensIsSlowedDownAndTheOwnerIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := create(t, gate.Config{BindHost: "0.0.0.0", PerSecond: 10})
		var statuses []int
		for range 12 {
			statuses = append(statuses, from(g, "203.0.113.7:1", "guess"))
		}
		if statuses[9] != http.StatusUnauthorized || statuses[10] != http.StatusTooManyRequests {
			t.Errorf("%v", statuses)
		}
		if got := from(g, "203.0.113.7:1", "t"); got != http.StatusOK {
			t.Errorf("the right token from the same address: %d", got)
		}
		time.Sleep(2 * time.Second)
		if got := from(g, "203.0.113.7:1", "guess"); got != http.StatusUnauthorized {
			t.Errorf("two seconds later: %d", got)
		}
		if got := from(g, "127.0.0.1:1", "guess"); got != http.StatusUnauthorized {
			t.Errorf("on this machine: %d", got)
		}
	})
}

func TestWithoutARateOnlyGuessesAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := create(t, gate.Config{BindHost: "0.0.0.0", PerSecond: -1})
		for i := range 1000 {
			if got := from(g, "203.0.113.7:1", "t"); got != http.StatusOK {
				t.Fatalf("request %d: %d", i, got)
			}
		}
		for range 10 {
			from(g, "203.0.113.7:1", "guess")
		}
		if got := from(g, "203.0.113.7:1", "guess"); got != http.StatusTooManyRequests {
			t.Errorf("the eleventh guess: %d", got)
		}
	})
}

// A caller that was seen before has the new rate too.
func TestARateThatChangesHoldsForCallersThatAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := create(t, gate.Config{BindHost: "0.0.0.0", PerSecond: 1000})
		check := func() int { return from(g, "203.0.113.9:1", "t") }
		if got := check(); got != http.StatusOK {
			t.Fatal(got)
		}
		g.Adjust(nil, 1)
		time.Sleep(time.Hour)
		for i, want := range []int{200, 200, 429} {
			if got := check(); got != want {
				t.Errorf("request %d: %d; want %d", i, got, want)
			}
		}
		g.Adjust(nil, -1)
		if got := check(); got != http.StatusOK {
			t.Error(got)
		}
	})
}
