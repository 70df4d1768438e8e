//go:build race

package attack_test

// underRaceDetector: this test binary is the program, and its shadow memory does not fit under the limit.
const underRaceDetector = true
