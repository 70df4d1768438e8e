package pages

import (
	"regexp"
	"strings"
	"testing"
)

// What a reader stumbles over, and what to write instead.
var style = []struct{ avoid, write string }{
	{`whoever|whomever`, "who does it: a caller, an operator, anyone who"},
	{`in order to`, "to"},
	{`in place of`, "instead of, for"},
	{`so (many|much)`, "a number, that many"},
	{`(is|are|was|were) to be`, "must, should"},
	{`to be had`, "available"},
	{`in vain`, "what it did not find"},
	{`(failed|unable) to`, "what did not happen: does not, cannot"},
	{`an error (has )?occurred`, "what happened"},
	{`(simply|easily|obviously|of course)`, "nothing: leave it out"},
	{`utili[sz]e[sd]?|leverag(e|es|ed|ing)`, "use"},
	{`e\.g\.`, "for example"},
	{`i\.e\.`, "that is"},
	{`etc\.`, "the rest, or such as"},
	{`prior to`, "before"},
	{`(due to|despite) the fact that`, "because, although"},
	{`is able to|are able to`, "can"},
	{`and/or`, "or"},
}

func TestTheWordsAreThoseOfTheHouse(t *testing.T) {
	t.Parallel()
	for _, rule := range style {
		avoid := regexp.MustCompile(`(?i)(^|\W)(` + strings.ReplaceAll(rule.avoid, " ", `\s+`) + `)(\W|$)`)
		for _, p := range repository(t) {
			for _, prose := range p.Prose {
				if at := avoid.FindStringSubmatchIndex(prose.Text); at != nil {
					line := prose.Line + strings.Count(prose.Text[:at[4]], "\n")
					t.Errorf("%s:%d: %q: write %s", p.Path, line, prose.Text[at[4]:at[5]], rule.write)
				}
			}
		}
	}
}
