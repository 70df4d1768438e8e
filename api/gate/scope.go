package gate

import (
	"fmt"
	"slices"
	"strings"
)

// Scopes is a set of things that a token may do. None implies another, except that [ScopeAdmin] implies all.
type Scopes uint8

// The scopes.
const (
	ScopeDecide Scopes = 1 << iota // decisions by the rules of the policy
	ScopeRead                      // status, policies, events, metrics and audit records
	ScopeQuery                     // queries that the caller writes, and documents of data files
	ScopeChange                    // reloads, and the block and allow lists
	ScopeAdmin                     // everything

	// AllScopes are those of the token that the operator sets or the first start makes.
	AllScopes = ScopeDecide | ScopeRead | ScopeQuery | ScopeChange | ScopeAdmin
)

var scopeNames = []string{"decide", "read", "query", "change", "admin"} // in the order of their bits

// ScopeNames lists the names of all scopes.
func ScopeNames() []string { return slices.Clone(scopeNames) }

// ParseScopes reads names of scopes. None at all is an error, as a name is that does not exist.
func ParseScopes(names []string) (s Scopes, err error) {
	for _, name := range names {
		i := slices.Index(scopeNames, name)
		if i < 0 {
			return 0, fmt.Errorf("there is no scope %q: %s were expected", name, strings.Join(scopeNames, ", "))
		}
		s |= 1 << i
	}
	if s == 0 {
		return 0, fmt.Errorf("no scope is given: at least one of %s was expected", strings.Join(scopeNames, ", "))
	}
	return s, nil
}

// Has reports whether s permits what needs the scopes of need.
func (s Scopes) Has(need Scopes) bool { return s&need == need || s&ScopeAdmin != 0 }

// Names lists the names of the scopes in s.
func (s Scopes) Names() (names []string) {
	for i, name := range scopeNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String joins the names by commas.
func (s Scopes) String() string { return strings.Join(s.Names(), ",") }
