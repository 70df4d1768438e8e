package contain

import (
	"errors"
	"strings"
	"testing"
)

func TestAPanicBecomesAnErrorWithItsStack(t *testing.T) {
	for name, of := range map[string]struct {
		value any
		text  string
	}{
		"text": {"the rule is gone", "compile: crashed: the rule is gone"},
		"nil":  {nil, "compile: crashed: panic called with nil argument"},
	} {
		t.Run(name, func(t *testing.T) {
			err := contained(of.value)
			var crash *Error
			if !errors.As(err, &crash) || err.Error() != of.text {
				t.Fatalf("%v; want %s", err, of.text)
			}
			if !strings.Contains(string(crash.Stack()), "contain.panicking(") {
				t.Errorf("the stack does not name the function that panicked:\n%s", crash.Stack())
			}
		})
	}
}

func contained(value any) (err error) {
	defer Panic("compile", &err)
	panicking(value)
	return nil
}

//go:noinline
func panicking(value any) { panic(value) }
