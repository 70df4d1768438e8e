package pages

import (
	"reflect"
	"testing"
)

const sample = "Before.\n\n# The `title`\n\nSee [this](a/b.md#c \"t\") and <https://x.example>.\n\n" +
	"## Twice, it's 1_2 – so!\n\n| a | b |\n|---|---|\n| [cell](../c.md) | `code` |\n\n" +
	"## Twice, it's 1_2 – so!\n\n```sh\nmake\n```\n\n```\nbare\n```\n\n![A picture](p.png)\n<img alt=\"Another\" src=\"q.png\">\n"

func TestAPageIsReadAsGitHubDoes(t *testing.T) {
	t.Parallel()
	p := parse("docs/x/p.md", []byte(sample))
	if p.Title != "The title" {
		t.Errorf("the title is %q", p.Title)
	}
	var anchors []string
	for _, s := range p.Sections {
		anchors = append(anchors, s.Anchor)
	}
	if want := []string{"", "the-title", "twice-its-1_2--so", "twice-its-1_2--so-1"}; !reflect.DeepEqual(anchors, want) {
		t.Errorf("the anchors are %q", anchors)
	}
	if got := p.Sections[2].Text; got != "Twice, it's 1_2 – so! a b cell code" {
		t.Errorf("the text of a section is %q", got)
	}
	want := []Link{{To: "a/b.md#c", Line: 5}, {To: "../c.md", Line: 11}, {To: "p.png", Alt: "A picture", Image: true, Line: 23}, {To: "q.png", Alt: "Another", Image: true, Line: 24}}
	if !reflect.DeepEqual(p.Links, want) {
		t.Errorf("the links are %+v", p.Links)
	}
	if want := []Fence{{"sh", 15}, {"", 19}}; !reflect.DeepEqual(p.Fences, want) {
		t.Errorf("the fences are %+v", p.Fences)
	}
	if got := p.Prose[2]; got.Text != "See this and ." || got.Line != 5 {
		t.Errorf("the words of a paragraph are %+v", got)
	}
	if to, anchor, ok := p.Target(p.Links[1]); to != "docs/c.md" || anchor != "" || !ok {
		t.Errorf("the link leads to %q %q %v", to, anchor, ok)
	}
	if _, _, ok := p.Target(Link{To: "../../../x.md"}); ok {
		t.Error("a link leads out of the repository")
	}
	if p.Has("twice-its-1_2--so-2") || !p.Has("twice-its-1_2--so-1") {
		t.Error("an anchor is not where it should be")
	}
}
