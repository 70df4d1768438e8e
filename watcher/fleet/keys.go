package fleet

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// keyring is a file of keys, followed by looking at it.
type keyring struct {
	path    string
	current atomic.Pointer[record.Keys]

	// Of the one goroutine that looks.
	seen   os.FileInfo
	failed string // why it could not be read last; empty if it could
}

// keysEvery is how often the file is looked at.
const keysEvery = 5 * time.Second

// now are the keys as they are trusted now.
func (k *keyring) now() *record.Keys { return k.current.Load() }

// read reads the file, and keeps the keys before if that does not go well.
func (k *keyring) read() error {
	info, err := os.Stat(k.path)
	if err != nil {
		return fmt.Errorf("the keys of the source: %w", err)
	}
	text, err := os.ReadFile(k.path)
	if err != nil {
		return fmt.Errorf("the keys of the source: %w", err)
	}
	keys, err := record.ParseKeys(text)
	if err != nil {
		return fmt.Errorf("the keys of the source: %s: %w", k.path, err)
	}
	k.seen = info
	k.current.Store(keys)
	return nil
}

// look reads the file if it has changed, and reports whether it has, or how the reading has gone wrong if that is new.
func (k *keyring) look() (changed bool, err error) {
	if info, err := os.Stat(k.path); err == nil && k.failed == "" && os.SameFile(info, k.seen) &&
		info.Size() == k.seen.Size() && info.ModTime().Equal(k.seen.ModTime()) {
		return false, nil
	}
	if err := k.read(); err != nil {
		if k.failed == err.Error() {
			return false, nil
		}
		k.failed = err.Error()
		return false, err
	}
	k.failed = ""
	return true, nil
}
