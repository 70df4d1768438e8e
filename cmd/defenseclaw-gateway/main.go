// Command defenseclaw-gateway is the policy sidecar and every command of it.
package main

import (
	"os"

	"defenseclaw/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
