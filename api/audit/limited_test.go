//go:build unix

package audit_test

import "errors"

func appendUntilLimited(string) error { return errors.New("later") }
