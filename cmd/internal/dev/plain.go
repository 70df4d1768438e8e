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
	return l.Run(ctx, nil, func(r Round) {
		if r.Again {
			lines := noPaint.found(&r)
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
			fmt.Fprintf(w, "\n%s\n", changed(r.Changed))
		}
		fmt.Fprintln(w, noPaint.headline(&r))
		for _, line := range noPaint.body(&r) {
			fmt.Fprintln(w, strings.TrimRight("  "+line, " "))
		}
	})
}

// maxNamed is how many changed files are named.
const maxNamed = 3

func changed(files []string) string {
	if len(files) <= maxNamed {
		return strings.Join(files, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(files[:maxNamed], ", "), len(files)-maxNamed)
}
