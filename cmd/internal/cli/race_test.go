//go:build race

package cli

// underRace: the race detector needs more memory than a limit of these tests leaves.
const underRace = true
