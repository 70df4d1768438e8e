// Package docproof has tests alone: they do what the documents tell their readers to do. Each page is
// read from top to bottom in one shell, with a new home and a copy of the repository's documents, and
// with the built program; what a command prints is compared with what the page shows.
//
// The first word behind a fence says what a block is. The others, which no reader sees, say how it is run:
//
//	sh                 commands; each must succeed, and what they print does not matter
//	console            lines `$ COMMAND`, continued by `> …` or after a backslash, and what each prints, standard error included
//	any, file=NAME     what the reader saves as NAME. The page must name the file in its text
//
//	no-run "REASON"    the block is not run. It is counted, and the test prints the reason
//	needs=PROGRAM      the block is not run where one of the programs (by commas) is missing; the test says so
//	background         the last command, one program, goes on; what the page shows of it must appear. It gets SIGTERM at the page's end
//	restart            the command that was put into the background before is ended first, and must end with 0
//	shows              no commands: what the newest command in the background prints next, other lines left out
//	eventually         each command is repeated until it prints what the page shows
//	exit=N             the last command ends with N; without it, every command ends with 0
//
// In what is shown, `…` stands for any text of a line, and a line `…` for any lines. Times, durations,
// digests, identifiers, addresses of this machine and process ids match any other. Numbers of spaces do not matter.
//
// Readers have no race detector, and a review has five seconds: under it the pages are left out, and `make pages` does them.
//
// The program listens on a free port: the commands of a page may name the default, 127.0.0.1:18970.
package docproof
