// Command defenseclaw is the same command tree as defenseclaw-gateway, under the operator's name.
package main

import (
	"os"

	"defenseclaw/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
