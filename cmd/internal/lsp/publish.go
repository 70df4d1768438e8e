package lsp

import (
	"context"
	"strings"

	"defenseclaw/engine/diagnostic"
)

// publish sends what is wrong with each file, and that nothing is wrong any more with those of which something was said.
func (s *server) publish(ctx context.Context, p *pack, found, warnings diagnostic.List) {
	byFile := map[string][]diagnosticWire{}
	for file := range s.published {
		byFile[file] = []diagnosticWire{}
	}
	p.mu.Lock()
	for file := range p.buffers {
		byFile[file] = []diagnosticWire{}
	}
	for _, d := range found {
		if d.File == "" {
			s.tell(ctx, 1, d.String())
			continue
		}
		byFile[d.File] = append(byFile[d.File], p.wire(d))
	}
	for _, d := range warnings {
		byFile[d.File] = append(byFile[d.File], p.warning(d))
	}
	messages := make([]publishParams, 0, len(byFile))
	s.published = map[string]bool{}
	for file, all := range byFile {
		m := publishParams{URI: p.uri(file), Diagnostics: all}
		if b := p.buffers[file]; b != nil {
			m.Version = &b.version
		}
		messages = append(messages, m)
		if len(all) > 0 {
			s.published[file] = true
		}
	}
	p.mu.Unlock()
	for _, m := range messages {
		_ = s.rpc.Notify(ctx, "textDocument/publishDiagnostics", m) // the editor may have left
	}
}

// wire converts a diagnostic. Called with mu held.
func (p *pack) wire(d diagnostic.Diagnostic) diagnosticWire {
	text := append([]string{d.Message}, d.Details...)
	if d.Hint != "" {
		text = append(text, "hint: "+d.Hint)
	}
	w := diagnosticWire{Severity: 1, Code: d.Code, Source: "defenseclaw", Message: strings.Join(text, "\n")}
	if doc := p.text(d.File); doc != nil {
		w.Range = doc.tokenAt(d.Line, d.Column)
	}
	return w
}
