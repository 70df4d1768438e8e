// Command policybench compares this sidecar with opa, on the same policies and the same machine.
// `make bench-peers` builds what it needs and runs it; docs/explanation/performance.md says what it measures and how.
// `policybench plot RESULTS.json DIR` draws the plots of the documents from a file of results (make plots).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
