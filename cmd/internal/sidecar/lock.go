package sidecar

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"defenseclaw/cmd/internal/private"

	"github.com/gofrs/flock"
)

// ErrRunning is wrapped when another sidecar uses the data directory.
var ErrRunning = errors.New("another sidecar already runs on this data directory")

// claim creates and locks the data directory. The lock ends with the process, however that ends, or by
// release.
func claim(dataDir string) (release func() error, err error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := private.Check(dataDir); err != nil { // others could put tokens there, or a policy to restore
		return nil, fmt.Errorf("data directory %w", err)
	}
	path := filepath.Join(dataDir, "gateway.lock")
	lock := flock.New(path, flock.SetPermissions(0o600))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("data directory %s cannot be written: %w", dataDir, err)
	}
	if !got {
		pid, _ := os.ReadFile(path) // only for the message
		return nil, fmt.Errorf("%w: pid %s, %s", ErrRunning, strings.TrimSpace(string(pid)), dataDir)
	}
	// Written in place: a rename would leave the lock on the old file.
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s cannot be written: %w", dataDir, err), lock.Unlock())
	}
	return lock.Unlock, nil
}
