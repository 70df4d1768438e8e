//go:build !race

package docproof

const underRaceDetector = false
