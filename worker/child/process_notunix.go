//go:build !unix

package child

import "syscall"

// attributes adds nothing here: a process ends when its pipe does.
func attributes(bool) *syscall.SysProcAttr { return nil }

// StepBack does nothing here.
func StepBack(int) {}
