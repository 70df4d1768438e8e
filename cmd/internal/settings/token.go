package settings

import (
	"bytes"
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

// legacyTokenVariable is where installations older than [TokenVariable] have the token.
const legacyTokenVariable = "OPENCLAW_GATEWAY_TOKEN"

// madeTokenPrefix begins the tokens that [Settings.MakeToken] makes, as package tokens makes its own.
const madeTokenPrefix = "dc_"

// foundToken is the token, and where it was found.
type foundToken struct {
	token    string
	source   string // a file, or what names it in messages
	explicit bool
}

// Token returns the token that callers must present. explicit reports whether an operator set it;
// otherwise an earlier start made it, see [Settings.MakeToken], or the original gateway did.
func (s Settings) Token() (token string, explicit bool, err error) {
	found, err := s.findToken()
	switch {
	case err != nil:
		return "", false, err
	case found.token == "":
		return "", false, ErrNoToken
	}
	return found.token, found.explicit, nil
}

// findToken looks in the places in the order of the original gateway, which loads .env into its environment. A token that
// a sidecar of this program made has no other use, so it gives way to gateway.token.
func (s Settings) findToken() (foundToken, error) {
	if s.namedToken != "" {
		if s.namedInFile {
			return foundToken{s.namedToken, s.envFile(), true}, nil
		}
		return foundToken{s.namedToken, "the variable that gateway.token_env in config.yaml names", true}, nil
	}
	if s.givenToken != "" {
		return foundToken{s.givenToken, TokenVariable, true}, nil
	}
	if t, err := s.credential(); s.configToken == "" && (err != nil || t != "") {
		return foundToken{t, s.credentialFile(), true}, err
	}
	text, err := os.ReadFile(s.envFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return foundToken{}, fmt.Errorf("read the token: %w", err)
	}
	if t := envValue(text, TokenVariable); t != "" && (s.configToken == "" || !strings.HasPrefix(t, madeTokenPrefix)) {
		return foundToken{t, s.envFile(), false}, nil
	}
	if s.legacyToken != "" {
		return foundToken{s.legacyToken, legacyTokenVariable, true}, nil
	}
	if t := envValue(text, legacyTokenVariable); t != "" {
		return foundToken{t, s.envFile(), false}, nil
	}
	return foundToken{s.configToken, "gateway.token in config.yaml", true}, nil
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

// TokenSource says where the token that [Settings.Token] returns is from.
func (s Settings) TokenSource() string {
	found, _ := s.findToken()
	return found.source
}

// MakeToken adds a random token to .env in the data directory and keeps the rest of that file.
func (s Settings) MakeToken() (string, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	token := madeTokenPrefix + hex.EncodeToString(secret)
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
