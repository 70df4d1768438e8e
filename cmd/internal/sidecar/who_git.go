package sidecar

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// gitLog is the file in which git notes each move of HEAD, of the work tree that holds dir; empty if it is in none. Reading
// it needs neither git nor its objects, and runs nothing that the work tree's settings name.
func gitLog(dir string) string {
	if dir == "" {
		return ""
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	const maxLevels = 64
	for range maxLevels {
		found := filepath.Join(dir, ".git")
		if info, err := os.Stat(found); err == nil {
			if !info.IsDir() { // a linked work tree
				named, ok := strings.CutPrefix(strings.TrimSpace(tail(found)), "gitdir: ")
				if !ok {
					return ""
				}
				found = named
				if !filepath.IsAbs(found) {
					found = filepath.Join(dir, found)
				}
			}
			return filepath.Join(found, "logs", "HEAD")
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
	return ""
}

// tail is the end of a file; "" if it is none, or cannot be read.
func tail(file string) string {
	const maxBytes = 8 << 10
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return "" // a pipe would block
	}
	in, err := os.Open(file) //nolint:gosec // of the work tree that holds the policy; of its text a name is shown
	if err != nil {
		return ""
	}
	defer in.Close() //nolint:errcheck // it was only read
	if size, err := in.Seek(0, io.SeekEnd); err != nil || size < maxBytes {
		_, err = in.Seek(0, io.SeekStart)
		if err != nil {
			return ""
		}
	} else if _, err := in.Seek(-maxBytes, io.SeekEnd); err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(in, maxBytes))
	if err != nil {
		return ""
	}
	return string(text)
}

func lastLine(file string) string {
	if file == "" {
		return ""
	}
	text := strings.TrimRight(tail(file), "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// parseGitLog reads "OLD NEW NAME <MAIL> SECONDS ZONE\tWHAT".
func parseGitLog(line string) (by string, at time.Time, ok bool) {
	line, _, _ = strings.Cut(line, "\t")
	_, line, _ = strings.Cut(line, " ")
	_, line, _ = strings.Cut(line, " ")
	end := strings.LastIndexByte(line, '>')
	if end < 0 {
		return "", at, false
	}
	seconds, _, _ := strings.Cut(strings.TrimSpace(line[end+1:]), " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	const maxBytes = 200
	if err != nil || end >= maxBytes {
		return "", at, false
	}
	return line[:end+1], time.Unix(n, 0), true
}
