//go:build !race

package attack_test

const underRaceDetector = false
