package settings_test

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

func observing(t *testing.T, env map[string]string) (settings.Settings, error) {
	t.Helper()
	all := map[string]string{"DEFENSECLAW_HOME": t.TempDir()}
	maps.Copy(all, env)
	return settings.Resolve(func(string) (string, bool) { return "", false }, func(name string) string { return all[name] })
}

func TestTheChannelThatIsObserved(t *testing.T) {
	t.Parallel()
	for _, try := range []struct{ source, keys, creds, url, want, err string }{
		{},
		{source: "nats://b1,b2/prod", keys: "k"}, // following is not observing
		{source: "nats://b1,b2/prod", keys: "k", creds: "c", want: "nats://b1,b2/prod"},
		{source: "nats://b1/prod", keys: "k", creds: "c", url: "tls://b2/test", want: "tls://b2/test"},
		{keys: "k", url: "nats://b1/prod", want: "nats://b1/prod"}, // a machine without an agent, and a broker without users
		{source: "https://h/b.tar.gz", keys: "k", creds: "c", url: "nats://b1/prod", want: "nats://b1/prod"},
		{keys: "k", creds: "c", err: "policy comes from no channel: --source-observe-url"},
		{source: "https://h/b.tar.gz", keys: "k", creds: "c", err: "policy comes from no channel"},
		{creds: "c", url: "nats://b1/prod", err: "--source-keys with the agents' file"},
		{keys: "k", url: "nats://b1", err: "servers and a channel were expected"},
		{keys: "k", url: "nats://b1/a/b", err: "servers and a channel were expected"},
		{keys: "k", url: "https://b1/prod", err: "nats://HOST,…/CHANNEL or tls"},
		{keys: "k", url: "prod", err: `"prod": nats://HOST`},
		{keys: "k", url: "nats://u:p@b1/prod", err: "password"},
		{keys: "k", url: "nats://%zz/prod", err: "DEFENSECLAW_SOURCE_OBSERVE_URL"},
	} {
		s, err := observing(t, map[string]string{
			"DEFENSECLAW_SOURCE": try.source, "DEFENSECLAW_SOURCE_KEYS": try.keys, "DEFENSECLAW_SOURCE_OBSERVE": try.creds, "DEFENSECLAW_SOURCE_OBSERVE_URL": try.url,
		})
		switch {
		case try.err != "":
			if err == nil || !strings.Contains(err.Error(), try.err) || strings.Contains(err.Error(), "u:p") {
				t.Errorf("%+v: %v", try, err)
			}
		case err != nil || s.Observes() != try.want:
			t.Errorf("%+v: %q, %v", try, s.Observes(), err)
		case try.creds != "" && !filepath.IsAbs(s.Source.Observe.Creds) && s.Source.Observe.Creds != try.creds:
			t.Errorf("%+v: %q", try, s.Source.Observe.Creds)
		}
	}
}
