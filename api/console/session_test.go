package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"defenseclaw/api/gate"
)

// One token cannot take the places of all others, however often it signs in: its own oldest session ends.
func TestNobodyTakesThePlacesOfAllOthers(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSessions(func() time.Time { return now })
	greedy, operator := gate.Caller{Name: "greedy"}, gate.Caller{Name: "operator"}
	var secrets []string
	for range 2 * maxSessions {
		now = now.Add(time.Millisecond)
		secret, _, err := s.begin(greedy)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	var codes []string
	for range 2 * maxCodes {
		now = now.Add(time.Millisecond)
		secret, _, err := s.newCode(greedy)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, secret)
	}
	if len(s.all) != sessionsOfOne || len(s.codes) != codesOfOne {
		t.Errorf("%d sessions and %d codes of one token", len(s.all), len(s.codes))
	}
	if s.find(secrets[0]) != nil || s.find(secrets[len(secrets)-1]) == nil {
		t.Error("it is not the oldest that ended")
	}
	if _, ok := s.useCode(codes[len(codes)-1]); !ok {
		t.Error("the newest code is not good")
	}
	if _, ok := s.useCode(codes[0]); ok {
		t.Error("the oldest code is still good")
	}
	if _, _, err := s.begin(operator); err != nil {
		t.Error(err)
	}
	if _, _, err := s.newCode(operator); err != nil {
		t.Error(err)
	}
}

// However many tokens there are, sessions and codes are bounded, and what has expired makes room.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSessions(func() time.Time { return now })
	fill := func() (sessions, codes int) {
		for i := range 2 * maxSessions {
			if _, _, err := s.begin(gate.Caller{Name: fmt.Sprint(i)}); err == nil {
				sessions++
			}
			if _, _, err := s.newCode(gate.Caller{Name: fmt.Sprint(i)}); err == nil {
				codes++
			}
		}
		return sessions, codes
	}
	if sessions, codes := fill(); sessions != maxSessions || codes != maxCodes {
		t.Errorf("%d sessions, %d codes", sessions, codes)
	}
	now = now.Add(sessionLife)
	if sessions, codes := fill(); sessions != maxSessions || codes != maxCodes {
		t.Errorf("after they expired: %d sessions, %d codes", sessions, codes)
	}
}

// Over TLS the cookie is for TLS alone, also when it is taken back.
func TestTheCookieOfASidecarWithTLS(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{true, false} {
		c, err := New(Config{TLS: tls})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/console/enter", nil)
		for _, maxAge := range []int{1, -1} {
			one := c.cookie(r, "x", maxAge)
			if one.Secure != tls || !one.HttpOnly || one.SameSite != http.SameSiteStrictMode || one.Domain != "" || one.Path != "/console/" {
				t.Errorf("TLS %v: %s", tls, one)
			}
		}
	}
}
