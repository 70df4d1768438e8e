package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A bench is one run of the command.
type bench struct {
	options
	report   *report
	dir      string    // temporary
	progress io.Writer // one line for each finished measure
	started  time.Time
}

// run runs the command with args. It writes results to stdout and progress to stderr, and returns the
// exit code: 0 if everything was measured and all answers agreed, 1 if not, 2 if args are wrong. When ctx
// ends, it stops the programs, removes the temporary files and prints the results so far.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "plot" {
		return runPlot(args[1:], stderr)
	}
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "policybench:", err)
		return 2
	}
	b := &bench{options: o, report: newReport(), progress: stderr, started: time.Now()}
	err = b.run(ctx)
	b.report.Took = time.Since(b.started).Round(time.Second).String()
	if len(b.report.Rows) > 0 {
		b.report.table(stdout)
		if o.json != "" {
			err = errors.Join(err, b.report.writeJSON(o.json))
		}
	}
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "policybench: interrupted; all programs are stopped")
		return 1
	}
	if err != nil {
		fmt.Fprintln(stderr, "policybench:", err)
		return 1
	}
	if len(b.report.Disagreements) > 0 {
		return 1
	}
	return 0
}

func (b *bench) run(ctx context.Context) (err error) {
	if err := b.findPrograms(ctx); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "policybench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.selects("default") {
		if err := b.measurePack(ctx); err != nil {
			return fmt.Errorf("the default pack: %w", err)
		}
	}
	for _, n := range b.sizes {
		if b.selects("start", "edit", "storm", "memory") {
			if err := b.measureEdits(ctx, tenants(n)); err != nil {
				return fmt.Errorf("%d tenants: %w", n, err)
			}
		}
	}
	for _, mb := range b.data {
		if b.selects("data") {
			if err := b.measureEdits(ctx, users(mb)); err != nil {
				return fmt.Errorf("%d MB of data: %w", mb, err)
			}
		}
	}
	if b.selects("throughput") {
		if err := b.throughput(ctx); err != nil {
			return err
		}
	}
	return b.decide(ctx)
}

func (b *bench) selects(measures ...string) bool {
	for _, m := range measures {
		if b.only.MatchString(m) {
			return true
		}
	}
	return false
}

// findPrograms makes the paths of the programs absolute and asks for their versions. If opa is missing, it
// says so and the sidecar is measured alone.
func (b *bench) findPrograms(ctx context.Context) error {
	for _, p := range []struct {
		path       *string
		name       string
		versionArg string
		required   bool
	}{{&b.sidecar, sidecarName, "--version", true}, {&b.opa, opaName, "version", false}} {
		if *p.path == "" {
			continue
		}
		path, err := exec.LookPath(*p.path)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil && p.required {
			return fmt.Errorf("find the sidecar (make build): %w", err)
		}
		if err != nil {
			fmt.Fprintf(b.progress, "policybench: NO OPA, NO COMPARISON: %v; run `make bench-peers` to install it\n", err)
			*p.path = ""
			continue
		}
		*p.path = path
		output, err := exec.CommandContext(ctx, path, p.versionArg).Output()
		if err != nil {
			return fmt.Errorf("ask %s for its version: %w", p.name, err)
		}
		b.report.Versions[p.name] = versionOf(string(output))
	}
	if b.opa == "" {
		b.report.Versions[opaName] = "not measured"
	}
	return nil
}

// versionOf returns the version in a program's output, and the Go version that built it if it is there.
func versionOf(output string) string {
	var parts []string
	for line := range strings.Lines(output) {
		if v, ok := strings.CutPrefix(line, "Version: "); ok {
			parts = append(parts, strings.TrimSpace(v))
		} else if v, ok := strings.CutPrefix(line, "Go Version: "); ok {
			parts = append(parts, strings.TrimSpace(v))
		}
	}
	if len(parts) == 0 {
		return oneLine(output)
	}
	return strings.Join(parts, ", ")
}

func (b *bench) peers() []peer {
	if b.opa == "" {
		return []peer{b.sidecarPeer()}
	}
	return []peer{b.opaPeer(opaName, nil), b.sidecarPeer()}
}

// alternate runs the rounds of one measure. Each round measures every program once and begins with the
// next one, so that other activity of the machine affects all programs alike. It calls after, if not nil,
// at the end of each round.
func alternate[P any](
	ctx context.Context, b *bench, name string, programs []P, measure func(P) error, after func() error,
) error {
	started := time.Now()
	for round := range b.rounds {
		if round >= b.minRounds && time.Since(started) > b.budget {
			break
		}
		for i := range programs {
			if err := measure(programs[(round+i)%len(programs)]); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if after != nil {
			if err := after(); err != nil {
				return err
			}
		}
	}
	took := time.Since(started).Round(time.Millisecond)
	fmt.Fprintf(b.progress, "%6.0fs  %s: done in %s\n", time.Since(b.started).Seconds(), name, took)
	return nil
}
