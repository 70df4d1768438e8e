//go:build !race

package builtins_test

const underRaceDetector = false
