//go:build race

package sidecar_test

// underRace says whether the race detector takes memory of its own.
const underRace = true
