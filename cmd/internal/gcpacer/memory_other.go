//go:build !unix

package gcpacer

// processLimit is 0: elsewhere a process has no such limit.
func processLimit() uint64 { return 0 }
