package lsp

import (
	"context"
	"regexp"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
)

// warnings are what nothing uses in the modules, as their texts are now. Only texts that changed are looked at. A text that
// does not parse has none.
func (p *pack) warnings(ctx context.Context) (all diagnostic.List, err error) {
	texts := map[string]string{}
	p.mu.Lock()
	for file, of := range p.parsed {
		if of.strictOf == nil || *of.strictOf != of.text {
			texts[file] = of.text
		}
	}
	p.mu.Unlock()
	found := make(map[string]diagnostic.List, len(texts))
	for file, text := range texts { // without the lock: the editor's requests go on
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if found[file], err = engine.StrictIn(file, []byte(text)); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for file, of := range p.parsed {
		if text, looked := texts[file]; looked && text == of.text {
			of.strict, of.strictOf = found[file], &text
		}
		if of.strictOf != nil && *of.strictOf == of.text {
			all = append(all, of.strict...)
		}
	}
	return all.Sorted(), nil
}

// unnecessary is the tag of a diagnostic whose text editors fade.
const unnecessary = 1

// warning converts one of [pack.warnings]. Called with mu held.
func (p *pack) warning(d diagnostic.Diagnostic) diagnosticWire {
	w := p.wire(d)
	w.Severity, w.Tags = 2, []int{unnecessary}
	if doc := p.text(d.File); doc != nil {
		w.Range = doc.unused(d)
	}
	return w
}

// unused is the text that nothing uses: OPA says where the rule or the statement begins.
func (d *document) unused(of diagnostic.Diagnostic) textRange {
	n := of.Line - 1
	if n < 0 || n >= len(d.starts) {
		return d.tokenAt(of.Line, of.Column)
	}
	from := d.starts[n] + min(max(of.Column, 1)-1, len(d.line(n)))
	if of.Code == diagnostic.CodeUnusedImport {
		line, _, _ := strings.Cut(d.line(n)[from-d.starts[n]:], "#")
		return d.span(from, from+len(strings.TrimRight(line, " \t\r")))
	}
	words := strings.Fields(of.Message) // assigned var x unused, unused argument x
	name := words[min(2, len(words)-1)]
	if at := regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).FindStringIndex(d.text[from:]); at != nil {
		return d.span(from+at[0], from+at[1])
	}
	return d.tokenAt(of.Line, of.Column)
}
