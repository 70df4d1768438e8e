// Command dockerfile reads a Dockerfile as BuildKit does. It prints the image that the stage is made from, if nobody names another one,
// and then each path that is copied from it.
//
//	dockerfile FILE STAGE
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "dockerfile: expected FILE STAGE")
		os.Exit(2)
	}
	if err := show(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "dockerfile:", err)
		os.Exit(1)
	}
}

func show(file, from string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	parsed, err := parser.Parse(f)
	if err != nil {
		return fmt.Errorf("parse %s: %w", file, err)
	}
	if len(parsed.Warnings) > 0 {
		return fmt.Errorf("%s: %s", file, parsed.Warnings[0].Short)
	}
	stages, arguments, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return fmt.Errorf("parse the instructions of %s: %w", file, err)
	}
	at, ok := instructions.HasStage(stages, from)
	if !ok {
		return fmt.Errorf("%s has no stage %s", file, from)
	}
	base := stages[at].BaseName
	for _, line := range arguments {
		for _, a := range line.Args {
			base = strings.ReplaceAll(base, "${"+a.Key+"}", a.ValueString())
		}
	}
	fmt.Println(base)
	for _, s := range stages {
		for _, command := range s.Commands {
			if c, ok := command.(*instructions.CopyCommand); ok && c.From == from {
				fmt.Println(strings.Join(c.SourcePaths, "\n"))
			}
		}
	}
	return nil
}
