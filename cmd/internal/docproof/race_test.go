//go:build race

package docproof

// underRaceDetector: this test binary is the program, which is slower by a factor then.
const underRaceDetector = true
