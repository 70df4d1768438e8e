package signed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"defenseclaw/cmd/internal/private"
)

// newest is the commit that served last, also before a restart.
type newest struct {
	path string

	mu  sync.Mutex
	now record
}

type record struct {
	Commit string    `json:"commit"`
	Time   time.Time `json:"time"`
}

// openNewest reads the record. A damaged one is an error: any commit would be new.
func openNewest(path string) (*newest, error) {
	n := &newest{path: path}
	text, err := os.ReadFile(path) //nolint:gosec // in the data directory
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &n.now)
	}
	if err == nil && n.now.Commit == "" {
		err = errors.New("it names no commit")
	}
	if err != nil {
		return nil, fmt.Errorf("the record of the newest commit that served, %s: %w; remove it to take any commit", path, err)
	}
	return n, nil
}

func (n *newest) get() (commit string, made time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now.Commit, n.now.Time
}

// set is in force also where it cannot be written.
func (n *newest) set(commit string, made time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.now.Commit == commit {
		return nil
	}
	n.now = record{commit, made}
	text, err := json.Marshal(n.now)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(n.path), 0o700); err != nil {
		return err
	}
	return private.Write(n.path, append(text, '\n'))
}
