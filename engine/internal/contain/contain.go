// Package contain turns a panic into an error, so that one strange file or request cannot end the process
// that serves the last good policy.
//
// It cannot contain what Go does not recover from: a stack overflow, running out of memory, a concurrent
// write to a map.
package contain

import (
	"fmt"
	"runtime/debug"
)

// Error is a panic that was contained.
type Error struct {
	doing string
	value any
	stack []byte
}

// Error says what was being done and what the panic said. The stack is not part of it.
func (e *Error) Error() string { return fmt.Sprintf("%s: crashed: %v", e.doing, e.value) }

// Stack is the stack of the goroutine where it panicked.
func (e *Error) Stack() []byte { return e.stack }

// Panic stores a panic of the function that defers it in *err, as an [*Error]. doing says what was being done.
func Panic(doing string, err *error) {
	if v := recover(); v != nil {
		*err = Recovered(doing, v)
	}
}

// Recovered makes an [*Error] of a value that recover returned. It is for deferred functions that do more
// than [Panic] does.
func Recovered(doing string, value any) error {
	return &Error{doing: doing, value: value, stack: debug.Stack()}
}
