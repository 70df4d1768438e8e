package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// options are what to measure, and for how long.
type options struct {
	opa, sidecar string // programs; opa may be empty
	sizes        []int  // tenants
	data         []int  // MB of data.json
	heavyBytes   int    // of data that a decision of the data-heavy policy walks
	rounds       int
	minRounds    int // made even when they take longer than the budget
	budget       time.Duration
	deadline     time.Duration
	storm        time.Duration
	load         time.Duration
	connections  int
	edits        int // of this sidecar alone, before its memory is read again
	only         *regexp.Regexp
	agreeWithin  time.Duration // that programs may differ after both have shown an edit: opa reloads more than once for one
	json         string
}

// parseOptions reads the command line. The error is flag.ErrHelp when only help was wanted.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var sizes, data, only string
	var full bool
	f := flag.NewFlagSet("policybench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.opa, "opa", "bin/peers/opa", "run the opa in `FILE`; empty: measure this sidecar alone")
	f.StringVar(&o.sidecar, "sidecar", "bin/defenseclaw-gateway", "run the sidecar in `FILE`")
	f.StringVar(&sizes, "sizes", "10,100,1000,5000", "measure edits with `N,N,...` tenant modules")
	f.StringVar(&data, "data", "12", "measure edits of a data.json of `MB,MB,...`")
	f.IntVar(&o.rounds, "rounds", 10, "make `N` rounds of each measure, while its budget lasts")
	f.DurationVar(&o.budget, "budget", 25*time.Second, "begin no round of a measure after `DURATION`, but for its first")
	f.DurationVar(&o.deadline, "deadline", 90*time.Second, "an edit that no answer shows after `DURATION` never went live")
	f.DurationVar(&o.storm, "storm", 5*time.Second, "let a storm of edits, and the quiet before it, last `DURATION`, or as long as two of the slowest edits")
	f.DurationVar(&o.load, "load", 2*time.Second, "measure throughput for `DURATION` a round")
	f.IntVar(&o.heavyBytes, "heavy", 12, "let a decision of the data-heavy policy walk `MB` of data")
	f.IntVar(&o.connections, "connections", 4, "measure throughput with `N` connections")
	f.IntVar(&o.edits, "edits", 0, "read this sidecar's memory again after `N` edits of it alone")
	f.StringVar(&only, "only", "", "make only measures whose name matches `REGEXP`: start, edit, storm, memory, data, throughput")
	f.StringVar(&o.json, "json", "", "write the results, with every sample, to `FILE` as JSON")
	f.BoolVar(&full, "full", false, "add 10,000 tenants and 120 MB of data, at least three rounds of everything, and 1,000 edits; takes more than an hour")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var errs [4]error
	o.minRounds, o.agreeWithin = 1, 10*time.Second
	o.heavyBytes *= megabyte
	o.sizes, errs[0] = numbers("sizes", sizes)
	o.data, errs[1] = numbers("data", data)
	o.only, errs[2] = regexp.Compile(only)
	if o.rounds < 1 || o.heavyBytes < 1 || o.connections < 1 || o.budget <= 0 || o.deadline <= 0 || o.storm <= 0 || o.load <= 0 {
		errs[3] = errors.New("rounds, connections, data and durations must be more than zero")
	}
	if full {
		o.sizes, o.data = append(o.sizes, 10_000), append(o.data, 120)
		o.minRounds, o.edits = 3, max(o.edits, 1000)
	}
	return o, errors.Join(errs[:]...)
}

func numbers(name, list string) ([]int, error) {
	var all []int
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		n, err := strconv.Atoi(item)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-%s: %q is not a number of 1 or more", name, item)
		}
		all = append(all, n)
	}
	return all, nil
}
