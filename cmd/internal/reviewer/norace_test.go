//go:build !race

package reviewer_test

const underRace = false
