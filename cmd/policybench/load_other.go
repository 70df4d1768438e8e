//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var errNotLinux = fmt.Errorf("measure throughput: %w: it needs epoll", errors.ErrUnsupported)

func (*loaded) load(context.Context, int, time.Duration, []expectation) ([]float64, error) {
	return nil, errNotLinux
}

func twoCPUs() (program, load int, err error) { return 0, 0, errNotLinux }

func onCPU(int, func() error) error { return errNotLinux }
