package settings_test

import (
	"os"
	"path/filepath"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

// FuzzSettings reads any config.yaml and any .env: settings that are taken are sound, and a token is
// never made of what is none.
func FuzzSettings(f *testing.F) {
	f.Add([]byte("policy_dir: pol\ngateway: {api_port: 0, token: t}\n"), []byte("DEFENSECLAW_GATEWAY_TOKEN=t\n"))
	f.Add([]byte("gateway: [1]\nwatch: {debounce: -1s}\n"), []byte("export DEFENSECLAW_GATEWAY_TOKEN='t'\r\n#"))
	f.Add([]byte("judge: {kinds: [pii], timeout: 1h, max_retries: -1}\n"), []byte("DEFENSECLAW_GATEWAY_TOKEN"))
	f.Add([]byte("a: &a [*a]"), []byte("="))
	f.Fuzz(func(t *testing.T, config, env []byte) {
		dir := t.TempDir()
		for name, text := range map[string][]byte{"config.yaml": config, ".env": env} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		getenv := func(name string) string { return map[string]string{"DEFENSECLAW_HOME": dir}[name] }
		set, err := settings.Resolve(func(string) (string, bool) { return "", false }, getenv)
		if err != nil {
			return
		}
		if set.APIPort < 0 || set.APIPort > 65535 || set.Debounce <= 0 || set.MaxFiles <= 0 || set.RateLimit <= 0 {
			t.Errorf("%q makes %+v", config, set)
		}
		if token, _, err := set.Token(); err == nil && token == "" {
			t.Errorf("%q and %q make an empty token", config, env)
		}
	})
}
