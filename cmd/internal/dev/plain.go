package dev

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Plain runs the loop and prints each round to w without colours, for logs, pipes and editors. Of a search it prints what was
// found.
func Plain(ctx context.Context, l *Loop, w io.Writer) error {
	p := noPaint(l.place)
	return l.Run(ctx, nil, func(r Round) {
		if r.Again {
			lines := p.found(&r)
			if r.SearchErr != nil {
				lines = []string{r.SearchErr.Error()}
			}
			for _, line := range lines {
				fmt.Fprintln(w, "  "+line)
			}
			return
		}
		r.Searching = false
		if len(r.Changed) > 0 {
			fmt.Fprintf(w, "\n%s\n", p.named(r.Changed))
		}
		fmt.Fprintln(w, p.headline(&r))
		for _, line := range p.body(&r) {
			fmt.Fprintln(w, strings.TrimRight("  "+line, " "))
		}
	})
}
