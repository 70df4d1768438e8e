package sidecar

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"testing"
	"time"

	"defenseclaw/cmd/internal/settings"
)

func TestTokensThatCanBeGuessedAreWeak(t *testing.T) {
	for _, weak := range []string{
		"t", "changeme", "secret", "0123456789abcde", "aaaaaaaaaaaaaaaaaaaaaaaa", "abababababababababababab", "changemechangeme", "ChangeMe-ChangeMe-ChangeMe", "qR7-qR7-qR7-qR7-qR7-",
		"0123456789abcdef", "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba", "12345678901234567890", "my-secret-password", "defenseclaw-gateway-token", "replace-this-with-your-token", "your_secret_token_here!",
		"DefenseClaw-Admin-Password", "password12345678", "                    ",
	} {
		if Weakness(weak) == "" {
			t.Errorf("%q passes", weak)
		}
	}
	if why := Weakness("correct-horse-battery-staple"); why != "" {
		t.Errorf("a phrase: %s", why)
	}
	secret := make([]byte, 32)
	for range 10_000 {
		_, _ = rand.Read(secret)
		for _, token := range []string{hex.EncodeToString(secret), hex.EncodeToString(secret[:12]), base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret[:12])} {
			if why := Weakness(token); why != "" {
				t.Errorf("%s: %s", token, why)
			}
		}
	}
}

func TestWorkersHaveTheLimitsOfTheSettings(t *testing.T) {
	s := &Sidecar{cfg: Config{Settings: settings.Settings{DecisionTimeout: time.Minute, MaxDecisions: 3, MaxAnswerBytes: 4, WorkerBytes: 5}}}
	if c := s.workerConfig(); c.Timeout != time.Minute || c.Decisions != 3 || c.AnswerBytes != 4 || c.MemoryBytes != 5 {
		t.Errorf("%+v", c)
	}
}

func TestCallersWithTokensByHandHaveNoRate(t *testing.T) {
	for _, c := range []struct {
		byHand bool
		given  string
		want   int
	}{{false, "", 100}, {true, "", -1}, {true, "100", 100}, {false, "7", 7}, {true, "7", 7}} {
		set, err := settings.Resolve(func(name string) (string, bool) { return c.given, name == "rate-limit" && c.given != "" }, func(name string) string {
			return map[string]string{"DEFENSECLAW_HOME": t.TempDir()}[name]
		})
		if got := (&Sidecar{unlimited: c.byHand}).rateLimit(set); err != nil || got != c.want {
			t.Errorf("by hand %v, --rate-limit %q: %d %v; want %d", c.byHand, c.given, got, err, c.want)
		}
	}
}
