//go:build !linux

package worker

import (
	"os"
	"syscall"
)

// attributes adds nothing here: a process ends when its pipe does.
func attributes() *syscall.SysProcAttr { return nil }

func executable() (string, error) { return os.Executable() }

// limitMemory does nothing here: only Go's collector aims at the limit.
func limitMemory(int64) error { return nil }
