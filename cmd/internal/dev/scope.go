package dev

import (
	"regexp"
	"slices"
	"strings"
)

// Scope says which tests run. The zero Scope has all: those that a save can affect.
type Scope struct {
	Filter *regexp.Regexp // tests whose full name it matches; nil: all
	Only   []string       // tests with these full names; nil: all
}

// all reports whether no test is left out.
func (s Scope) all() bool { return s.Filter == nil && s.Only == nil }

// has reports whether a test belongs to the scope.
func (s Scope) has(name string) bool {
	return (s.Filter == nil || s.Filter.MatchString(name)) && (s.Only == nil || slices.Contains(s.Only, name))
}

// pattern is the scope as the one regular expression that the tester takes; empty for all.
func (s Scope) pattern() string {
	if s.Only == nil {
		if s.Filter == nil {
			return ""
		}
		return s.Filter.String()
	}
	var names []string
	for _, name := range s.Only {
		if s.has(name) {
			names = append(names, regexp.QuoteMeta(name))
		}
	}
	return "^(?:" + strings.Join(names, "|") + ")$"
}

// String says in words which tests belong to it; empty for all.
func (s Scope) String() string {
	var parts []string
	if s.Only != nil {
		parts = append(parts, "of those that failed")
	}
	if s.Filter != nil {
		parts = append(parts, "that match "+line(s.Filter.String()))
	}
	return strings.Join(parts, " and ")
}

// Ask has the tests of a scope run, all of them, and those that belong to it after each save from then on. It never blocks.
func (l *Loop) Ask(s Scope) {
	for {
		select {
		case l.asked <- s:
			return
		case <-l.asked: // what was asked for before is no longer wanted
		}
	}
}
