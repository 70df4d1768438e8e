//go:build !unix

package history_test

import "os"

// makeFIFO makes something else that is no file, where there are no FIFOs.
func makeFIFO(path string) error { return os.Mkdir(path, 0o700) }
