package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"defenseclaw/cmd/internal/private"
)

// Gateway is gateway.json in the data directory, by which commands find the running sidecar.
type Gateway struct {
	PID       int       `json:"pid"`
	APIAddr   string    `json:"api_addr"`           // host:port, or unix:PATH
	TLSCert   string    `json:"tls_cert,omitempty"` // the file of the certificate that is served; empty: plain HTTP
	StartedAt time.Time `json:"started_at"`
	Socket    string    `json:"socket,omitempty"` // unix:PATH of the socket in the data directory; empty: there is none
}

// Publish replaces gateway.json.
func (s Settings) Publish(g Gateway) error {
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if err := private.Write(s.gatewayFile(), append(text, '\n')); err != nil {
		return fmt.Errorf("publish the address of the sidecar: %w", err)
	}
	return nil
}

// Unpublish removes gateway.json. It is no error when there is none.
func (s Settings) Unpublish() error {
	if err := os.Remove(s.gatewayFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// published returns what gateway.json holds; nothing when it is missing or cannot be read.
func (s Settings) published() (g Gateway) {
	text, err := os.ReadFile(s.gatewayFile())
	if err != nil || json.Unmarshal(text, &g) != nil {
		return Gateway{}
	}
	return g
}

func (s Settings) gatewayFile() string { return filepath.Join(s.DataDir, "gateway.json") }
