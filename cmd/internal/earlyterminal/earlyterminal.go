// Package earlyterminal keeps the program from asking the terminal for its colors at every start.
//
// Bubble Tea asks while it is initialised, whatever the command is, and waits five seconds for a terminal that does
// not answer, as that of a container with a terminal that nobody has attached to. The answer has no use here: package
// dev uses only the terminal's own palette.
//
// Like package earlysignal it is early by its path: of the packages whose imports are ready, Go initialises the one
// that sorts first, and defenseclaw sorts before github.com/charmbracelet/bubbletea. The script
// testdata/quiet_terminal.txt of package cli breaks when it is late.
package earlyterminal

import "github.com/charmbracelet/lipgloss"

var _ = told()

// told makes the question needless: the program has said itself what the background is.
func told() bool {
	lipgloss.SetHasDarkBackground(true)
	return true
}
