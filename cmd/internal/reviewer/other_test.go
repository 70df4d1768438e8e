//go:build !linux

package reviewer_test

import "os"

func sidecarProcess() {}
func killSelf()       { os.Exit(1) }
func stopSelf()       { select {} }
