package sidecar

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const tokenVariable = "DEFENSECLAW_GATEWAY_TOKEN"

// ErrNoToken is returned when no token is set and none was made yet.
var ErrNoToken = errors.New("no gateway token is set, and no sidecar has made one in this data directory yet")

// Token finds the token that callers must show. explicit is false for one that a first start made.
func (s Settings) Token(getenv func(string) string) (token string, explicit bool, err error) {
	if name := lookUp(s.config, "gateway.token_env"); name != "" {
		if t := getenv(name); t != "" {
			return t, true, nil
		}
	}
	if t := getenv(tokenVariable); t != "" {
		return t, true, nil
	}
	if t := lookUp(s.config, "gateway.token"); t != "" {
		return t, true, nil
	}
	text, err := os.ReadFile(s.envFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("read the token: %w", err)
	}
	if t := envValue(text, tokenVariable); t != "" {
		return t, false, nil
	}
	return "", false, ErrNoToken
}

// makeToken adds a new token to <data-dir>/.env, keeping what the file holds.
func (s Settings) makeToken() (string, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails: it ends the program instead
	token := hex.EncodeToString(secret)
	text, err := os.ReadFile(s.envFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("keep the token: %w", err)
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	text = fmt.Appendf(text, "%s=%s\n", tokenVariable, token)
	if err := writeFile(s.envFile(), text); err != nil {
		return "", fmt.Errorf("keep the token: %w", err)
	}
	return token, nil
}

func (s Settings) envFile() string { return filepath.Join(s.DataDir, ".env") }

// envValue finds NAME=value among the lines of a .env file.
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

// writeFile replaces a file whole, readable by its owner alone: a reader sees the old or the new.
func writeFile(path string, text []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // made 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
