//go:build !unix

package console_test

import (
	"testing"
	"time"
)

var begun = time.Now()

// processorTime is the time by the clock where a process cannot be asked otherwise.
func processorTime(testing.TB) time.Duration { return time.Since(begun) }
