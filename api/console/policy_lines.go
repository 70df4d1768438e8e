package console

import (
	"errors"
	"strconv"
	"strings"

	"defenseclaw/api"
)

// lookAtLines fills in which lines of the file decisions reach. That may take seconds, so it is a part that comes later.
func (p *policyPage) lookAtLines(v *visit) error {
	if !p.Lines || p.Problem != "" {
		return nil
	}
	q := api.CoverageQuery{File: p.File}
	if p.File == "" {
		q.Missed, q.After = true, p.Behind
	}
	err := v.getLong("/policy/coverage", q.Values(), &p.Coverage)
	if answer := (&answerError{}); errors.As(err, &answer) {
		p.NotKnown = answer.Message
		return nil
	}
	if err == nil && p.File != "" && (len(p.Coverage.Files) != 1 || p.Coverage.Revision != p.Open.Revision) {
		p.NotKnown = "another policy serves by now"
	}
	return err
}

// MayHaveLines reports whether decisions can reach lines of the open file.
func (p *policyPage) MayHaveLines() bool {
	return p.Of == api.SideServing && p.Open.Kind == api.FileModule
}

// Awaits reports whether the part with the lines is to come.
func (p *policyPage) Awaits() bool {
	return p.Lines && (p.File == "" || p.MayHaveLines()) && p.Problem == "" && p.NotKnown == "" && p.Coverage.Revision == ""
}

// Marks are the lines of the open file that decisions reach; nil: that is not known.
func (p *policyPage) Marks() *api.FileCoverage {
	if p.NotKnown != "" || p.File == "" || len(p.Coverage.Files) != 1 {
		return nil
	}
	return &p.Coverage.Files[0]
}

// stretch writes lines that follow one another, as 3-7, and stretches several of them, as editors take them.
func stretch(lines [2]int) string {
	if lines[0] == lines[1] {
		return strconv.Itoa(lines[0])
	}
	return strconv.Itoa(lines[0]) + "-" + strconv.Itoa(lines[1])
}

func stretches(all [][2]int) string {
	var texts []string
	for _, lines := range all {
		texts = append(texts, stretch(lines))
	}
	return strings.Join(texts, ",")
}
