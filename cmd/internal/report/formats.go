package report

import (
	"fmt"
	"io"
	"slices"
)

// formatsOf are the ways to write one kind of report, by name.
type formatsOf[T any] []struct {
	name  string
	print func(io.Writer, T) error
}

func (all formatsOf[T]) names() []string {
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.name
	}
	return names
}

func (all formatsOf[T]) write(w io.Writer, v T, format string) error {
	i := slices.Index(all.names(), format)
	if i < 0 {
		return fmt.Errorf("unknown format %q", format)
	}
	return all[i].print(w, v)
}
