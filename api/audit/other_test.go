//go:build !unix

package audit_test

import "errors"

func appendUntilKilled(string) error { return errors.New("for Unix") }
