//go:build race

package builtins_test

// underRaceDetector: its shadow memory does not fit under the memory limit of a hostile call.
const underRaceDetector = true
