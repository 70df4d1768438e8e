package settings

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/cmd/internal/private"
)

// TokenVariable is the environment variable of the gateway token.
const TokenVariable = "DEFENSECLAW_GATEWAY_TOKEN"

// ErrNoToken is returned when no token is set and no sidecar has made one yet.
var ErrNoToken = errors.New("no gateway token is set, and no sidecar has made one in this data directory yet")

// Token returns the token that callers must present. explicit reports whether an operator set it;
// otherwise an earlier start made it, see [Settings.MakeToken].
func (s Settings) Token() (token string, explicit bool, err error) {
	if t := cmp.Or(s.namedToken, s.givenToken); t != "" {
		return t, true, nil
	}
	if t, err := s.credential(); err != nil || t != "" {
		return t, err == nil, err
	}
	text, err := os.ReadFile(s.envFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("read the token: %w", err)
	}
	if t := envValue(text, TokenVariable); t != "" {
		return t, false, nil
	}
	return "", false, ErrNoToken
}

// credential reads the token that a service manager hands over in a file, as systemd's LoadCredential=token:PATH does. It
// is empty if there is none.
func (s Settings) credential() (string, error) {
	if s.credentials == "" {
		return "", nil
	}
	text, err := os.ReadFile(s.credentialFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("read the token: %s is empty", s.credentialFile())
	}
	return token, nil
}

func (s Settings) credentialFile() string { return filepath.Join(s.credentials, "token") }

func (s Settings) hasCredential() bool {
	token, err := s.credential()
	return err == nil && token != ""
}

// TokenSource says where the token that [Settings.Token] returns is from.
func (s Settings) TokenSource() string {
	switch {
	case s.namedToken != "":
		return "the variable that gateway.token_env in config.yaml names"
	case s.givenToken != "":
		return TokenVariable + " or gateway.token in config.yaml"
	case s.hasCredential():
		return s.credentialFile()
	default:
		return s.envFile()
	}
}

// MakeToken adds a random token to .env in the data directory and keeps the rest of that file.
func (s Settings) MakeToken() (string, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)                    // never fails: it ends the program instead
	token := "dc_" + hex.EncodeToString(secret) // as package tokens makes them
	text, err := os.ReadFile(s.envFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("keep the token: %w", err)
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	text = fmt.Appendf(text, "%s=%s\n", TokenVariable, token)
	if err := private.Write(s.envFile(), text); err != nil {
		return "", fmt.Errorf("keep the token: %w", err)
	}
	return token, nil
}

func (s Settings) envFile() string { return filepath.Join(s.DataDir, ".env") }

// envValue returns the value of the last line NAME=value in a .env file.
func envValue(text []byte, name string) string {
	lines := bufio.NewScanner(bytes.NewReader(text))
	value := ""
	for lines.Scan() {
		line := strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export ")
		if key, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == name {
			value = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return value
}
