package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Gateway is gateway.json in the data directory, by which commands find the running sidecar.
type Gateway struct {
	PID       int       `json:"pid"`
	APIAddr   string    `json:"api_addr"`           // host:port, or unix:PATH
	TLSCert   string    `json:"tls_cert,omitempty"` // the file of the certificate that is served; empty: plain HTTP
	StartedAt time.Time `json:"started_at"`
}

// Publish replaces gateway.json.
func (s Settings) Publish(g Gateway) error {
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if err := writeFile(s.gatewayFile(), append(text, '\n')); err != nil {
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

// writeFile replaces a file atomically with one that only its owner can read. The text is on disk
// before the file gets its name. renameio does the same, but not on Windows, and it keeps the
// permissions of the file that it replaces.
func writeFile(path string, text []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
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
