//go:build !linux

package child

import "os"

func executable() (string, error) { return os.Executable() }

// limitMemory does nothing here: only Go's collector aims at the limit.
func limitMemory(int64) error { return nil }
