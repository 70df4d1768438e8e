// Command defenseclaw is the same command tree as defenseclaw-gateway, under the operator's name. It has the broker in it that
// the sidecar does without.
package main

import (
	"os"

	"defenseclaw/cmd/internal/cli"
	"defenseclaw/cmd/internal/fleet/broker"
)

func main() { os.Exit(cli.Main(os.Args, broker.Run)) }
