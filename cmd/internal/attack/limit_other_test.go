//go:build !linux

package attack_test

const limitedName = ""

// runLimited is not called: elsewhere the program runs without a limit.
func runLimited() {}
