package pages

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

var inHTML = regexp.MustCompile(`(?i)\b(href|src|srcset|alt)\s*=\s*"([^"]*)"`)

// A reading collects what a page has, in the order in which it stands there.
type reading struct {
	page   Page
	used   map[string]int // anchors, and how often
	text   strings.Builder
	offset int // behind what has been seen
}

func parse(name string, source []byte) Page {
	r := reading{page: Page{Path: name, Title: name, Text: source, Sections: []Section{{Line: 1}}}, used: map[string]int{}}
	document := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(document, r.visit) // visit returns no error
	r.endSection()
	if len(r.page.Sections) > 1 {
		r.page.Title = r.page.Sections[1].Title
	}
	return r.page
}

func (r *reading) visit(n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		if n.Type() == ast.TypeBlock {
			r.text.WriteByte('\n')
		}
		return ast.WalkContinue, nil
	}
	if n.Type() == ast.TypeBlock && n.Lines() != nil && n.Lines().Len() > 0 {
		r.offset = n.Lines().At(0).Start
	}
	if n.Type() == ast.TypeBlock && n.FirstChild() != nil && n.FirstChild().Type() == ast.TypeInline {
		r.prose(n)
	}
	switch n := n.(type) {
	case *ast.Heading:
		r.endSection()
		title := plain(n, r.page.Text)
		r.page.Sections = append(r.page.Sections, Section{Level: n.Level, Title: title, Anchor: r.anchor(title), Line: r.line()})
	case *ast.Text:
		r.offset = n.Segment.Start
		r.text.Write(n.Segment.Value(r.page.Text))
		if n.SoftLineBreak() || n.HardLineBreak() {
			r.text.WriteByte(' ')
		}
	case *ast.Link:
		r.page.Links = append(r.page.Links, Link{To: string(n.Destination), Line: r.line()})
	case *ast.Image:
		r.page.Links = append(r.page.Links, Link{To: string(n.Destination), Alt: plain(n, r.page.Text), Image: true, Line: r.line()})
	case *ast.AutoLink:
		r.text.Write(n.Label(r.page.Text))
	case *ast.FencedCodeBlock:
		r.fence(n)
	case *ast.CodeBlock:
		r.text.Write(n.Lines().Value(r.page.Text))
	case *ast.HTMLBlock:
		r.html(string(n.Lines().Value(r.page.Text)))
	case *ast.RawHTML:
		r.offset = n.Segments.At(0).Start
		r.html(string(n.Segments.Value(r.page.Text)))
	}
	return ast.WalkContinue, nil
}

func (r *reading) line() int { return r.lineAt(r.offset) }

func (r *reading) lineAt(offset int) int {
	return bytes.Count(r.page.Text[:offset], []byte("\n")) + 1
}

func (r *reading) endSection() {
	r.page.Sections[len(r.page.Sections)-1].Text = strings.Join(strings.Fields(r.text.String()), " ")
	r.text.Reset()
}

func (r *reading) fence(n *ast.FencedCodeBlock) {
	line := r.line()
	if n.Lines().Len() > 0 {
		line-- // its first line follows the fence
	}
	r.page.Fences = append(r.page.Fences, Fence{Language: string(n.Language(r.page.Text)), Line: line})
	r.text.Write(n.Lines().Value(r.page.Text))
}

// prose takes the words of a block. A word of code stands for itself as a sign that is no letter.
func (r *reading) prose(block ast.Node) {
	var b strings.Builder
	start := -1
	_ = ast.Walk(block, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.CodeSpan:
			if entering {
				b.WriteString("·")
			}
			return ast.WalkSkipChildren, nil
		case *ast.Text:
			if !entering {
				break
			}
			if start < 0 {
				start = n.Segment.Start
			}
			b.Write(n.Segment.Value(r.page.Text))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte('\n')
			}
		}
		return ast.WalkContinue, nil
	})
	if start >= 0 {
		r.page.Prose = append(r.page.Prose, Prose{Text: b.String(), Line: r.lineAt(start)})
	}
}

func (r *reading) html(markup string) {
	r.page.HTML = append(r.page.HTML, HTML{Text: markup, Line: r.line()})
	image := Link{Image: true, Line: r.line()}
	for _, m := range inHTML.FindAllStringSubmatch(markup, -1) {
		switch strings.ToLower(m[1]) {
		case "href":
			r.page.Links = append(r.page.Links, Link{To: m[2], Line: r.line()})
		case "alt":
			image.Alt = m[2]
		default:
			image.To = m[2]
		}
	}
	if image.To != "" {
		r.page.Links = append(r.page.Links, image)
	}
}

// anchor returns the anchor that GitHub gives to a heading.
func (r *reading) anchor(title string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(strings.TrimSpace(title)) {
		switch {
		case c == ' ':
			b.WriteByte('-')
		case c == '-', c == '_', unicode.IsLetter(c), unicode.IsNumber(c):
			b.WriteRune(c)
		}
	}
	anchor := b.String()
	count := r.used[anchor]
	r.used[anchor]++
	if count > 0 {
		return fmt.Sprintf("%s-%d", anchor, count)
	}
	return anchor
}

// plain returns the text below a node.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}
