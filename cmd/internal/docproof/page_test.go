package docproof

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A block is one fenced block of a page that has something to run, to write or to compare.
type block struct {
	line     int // of its first line, from 1
	language string
	text     string
	steps    []step

	file       string   // what it is saved as
	skip       string   // why it is not run
	needs      []string // programs
	exit       int      // of the last command
	background bool
	restart    bool
	shows      bool
	eventually bool
}

// A step is one command, or the commands of a block sh, and what the page shows of it.
type step struct {
	line    int
	command string
	shown   string
	quiet   bool // what it prints does not matter
}

// isDone reports whether there is something to do with a block: also to say that it is not run.
func (b block) isDone() bool { return b.skip != "" || b.file != "" || b.shows || len(b.steps) > 0 }

// parsePage returns the blocks of a page, in their order. what is wrong with a block is an error with its line.
func parsePage(text string) ([]block, error) {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	var blocks []block
	for i := 0; i < len(lines); i++ {
		indent, fence, info := fenceOf(lines[i])
		if fence == "" {
			continue
		}
		begin := i + 1
		length := slices.IndexFunc(lines[begin:], func(l string) bool { return closes(l, fence) })
		if length < 0 {
			return nil, fmt.Errorf("line %d: the block is not closed", begin)
		}
		i += length + 1
		content := lines[begin:i]
		for n := range content {
			content[n] = strings.TrimPrefix(content[n], indent)
		}
		b, err := newBlock(info, strings.Join(content, "\n"), begin+1)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", begin, err)
		}
		if b.file != "" && !named(lines[:begin], b.file) {
			return nil, fmt.Errorf("line %d: the text does not name %s, the file that the block is", begin, b.file)
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// named reports whether the last lines of the text before a block name a file.
func named(before []string, file string) bool {
	return strings.Contains(strings.Join(before[max(0, len(before)-8):len(before)-1], "\n"), "`"+file+"`")
}

var fencePattern = regexp.MustCompile("^( {0,3}|\t| {4,8})(```+|~~~+)[ \t]*([^`]*)$")

func fenceOf(line string) (indent, fence, info string) {
	m := fencePattern.FindStringSubmatch(line)
	if m == nil {
		return "", "", ""
	}
	return m[1], m[2], strings.TrimSpace(m[3])
}

func closes(line, fence string) bool {
	line = strings.TrimSpace(line)
	return len(line) >= len(fence) && strings.Trim(line, fence[:1]) == ""
}

var infoPattern = regexp.MustCompile(`^(?:no-run "([^"]+)"|(needs|exit|file)=(\S+)|(background|restart|shows|eventually))(?:\s+|$)`)

// newBlock reads what the fence says about a block.
func newBlock(info, text string, line int) (block, error) {
	language, rest, _ := strings.Cut(info, " ")
	b := block{line: line, language: language, text: text}
	for rest = strings.TrimSpace(rest); rest != ""; {
		m := infoPattern.FindStringSubmatch(rest)
		if m == nil {
			return b, fmt.Errorf("%q is none of no-run \"REASON\", needs=, exit=, file=, background, restart, shows and eventually", rest)
		}
		rest = strings.TrimSpace(rest[len(m[0]):])
		if err := b.set(m[1], m[2], m[3], m[4]); err != nil {
			return b, err
		}
	}
	switch {
	case b.file != "" || b.shows:
	case language == "console":
		steps, err := consoleSteps(text, line)
		if err != nil {
			return b, err
		}
		b.steps = steps
	case language == "sh" || language == "bash" || language == "shell":
		b.steps = []step{{line: line, command: text, quiet: true}}
	case b.background || b.eventually || b.exit != 0:
		return b, fmt.Errorf("a block of %s has no commands", language)
	case strings.HasPrefix(text, "$ ") && language == "":
		return b, fmt.Errorf("a block of commands says so: console, or sh")
	}
	return b, nil
}

func (b *block) set(reason, key, value, word string) (err error) {
	switch {
	case reason != "":
		b.skip = reason
	case key == "needs":
		b.needs = strings.Split(value, ",")
	case key == "file":
		b.file = value
	case key == "exit":
		if b.exit, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("exit=%s: a number was expected", value)
		}
	case word == "background":
		b.background = true
	case word == "restart":
		b.restart = true
	case word == "shows":
		b.shows = true
	default:
		b.eventually = true
	}
	return nil
}

// consoleSteps splits a block into its commands and what each prints.
func consoleSteps(text string, line int) ([]step, error) {
	var steps []step
	continued := false // the line before belongs to a command that may go on
	for i, l := range strings.Split(text, "\n") {
		last := len(steps) - 1
		switch {
		case strings.HasPrefix(l, "$ "):
			steps = append(steps, step{line: line + i, command: l[len("$ "):]})
			continued = true
		case last < 0:
			return nil, fmt.Errorf("a block of console begins with $ and a command, not with %q", l)
		case continued && strings.HasPrefix(l, "> "), continued && l == ">":
			steps[last].command += "\n" + strings.TrimPrefix(l[1:], " ")
		case continued && strings.HasSuffix(steps[last].command, "\\"):
			steps[last].command += "\n" + l
		default:
			continued = false
			steps[last].shown += l + "\n"
		}
	}
	return steps, nil
}
