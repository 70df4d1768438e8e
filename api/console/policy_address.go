package console

import (
	"net/url"
	"strconv"

	"defenseclaw/api"
)

// address is this page's with the values changed; "" removes one.
func (p *policyPage) address(values ...string) string {
	query := url.Values{}
	set := func(name, value string) {
		if query.Del(name); value != "" {
			query.Set(name, value)
		}
	}
	set("q", p.Q)
	if p.InText {
		set("in", "text")
	}
	set("after", p.After)
	set("file", p.File)
	if p.Line > 0 {
		set("line", strconv.Itoa(p.Line))
	}
	if p.Of != api.SideServing {
		set("of", p.Of)
	}
	if p.File == "" {
		set("behind", p.Behind)
	}
	if p.Lines {
		set("lines", "reached")
	}
	for i := 0; i < len(values); i += 2 {
		set(values[i], values[i+1])
	}
	return api.ConsolePrefix + "policy?" + query.Encode()
}

// At is the address of a place in a file that serves, beside what is found.
func (p *policyPage) At(file string, line int) string {
	return p.address("file", file, "line", strconv.Itoa(line), "of", "", "behind", "")
}

// PackageAt is the address of a package, beside what is found.
func (p *policyPage) PackageAt(path string) string {
	return p.address("package", path, "file", "", "line", "", "of", "", "behind", "")
}

// NextPage is the address of the next part of the outline.
func (p *policyPage) NextPage() string { return p.address("after", p.Outline.Next) }

// Here is the address of this page as what serves now makes it.
func (p *policyPage) Here() string { return p.address() }

// WithLines, WithoutLines and FilePart are the addresses of this page with and without what decisions reach, and of the part
// that has it.
func (p *policyPage) WithLines() string { return p.address("lines", "reached") }

// WithoutLines is explained at WithLines.
func (p *policyPage) WithoutLines() string { return p.address("lines", "") }

// FilePart is explained at WithLines.
func (p *policyPage) FilePart() string { return p.address("part", "file") }

// NextMissed is the address of the next modules with lines that no decision reached.
func (p *policyPage) NextMissed() string { return p.address("behind", p.Coverage.Next) }

// News is the address of the part that says whether another policy serves than when the page was made.
func (p *policyPage) News() string { return p.address("part", "news", "since", p.Since) }

// pathOf is that of the route which has the text of a file. Slashes are escaped as well, so that no name leads elsewhere.
func pathOf(file string) string { return "/policy/files/" + url.PathEscape(file) }

// fileAt is the address of a file at a line; 0: at its beginning. of is the side that it is read from.
func fileAt(of, file string, line int) string {
	return (&policyPage{Of: of, File: file, Line: line}).address()
}
