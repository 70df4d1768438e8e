//go:build !image

package main

import (
	"fmt"
	"os"
)

// The program has requirements that the product's module does without: .ci/image.mod has them.
func main() {
	fmt.Fprintln(os.Stderr, "image: build with -tags image -modfile=.ci/image.mod, as .ci/image.sh does")
	os.Exit(2)
}
