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

// options select what to measure and for how long.
type options struct {
	opa, sidecar string // paths of the programs; opa may be empty
	sizes        []int  // numbers of tenants
	data         []int  // sizes of data.json in MB
	heavyBytes   int    // size of the data that a decision of the data-heavy policy walks
	rounds       int
	minRounds    int // run even if they take longer than the budget
	budget       time.Duration
	deadline     time.Duration
	storm        time.Duration
	load         time.Duration
	connections  int
	edits        int // of the sidecar alone, before its memory is measured again
	only         *regexp.Regexp
	agreeWithin  time.Duration // for the answers to agree after an edit is live; opa reloads several times for one edit
	json         string
}

// parseOptions reads the command line. The error is flag.ErrHelp if the arguments ask for help.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var sizes, data, only string
	var full bool
	f := flag.NewFlagSet("policybench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.opa, "opa", "bin/peers/opa", "path of opa, `FILE`; empty: measure the sidecar alone")
	f.StringVar(&o.sidecar, "sidecar", "bin/defenseclaw-gateway", "path of the sidecar, `FILE`")
	f.StringVar(&sizes, "sizes", "10,100,1000,5000", "measure edits of policies with `N,N,...` tenant modules")
	f.StringVar(&data, "data", "12", "measure edits of a data.json with `MB,MB,...`")
	f.IntVar(&o.rounds, "rounds", 10, "maximum number of rounds, `N`, of each measure")
	f.DurationVar(&o.budget, "budget", 25*time.Second, "begin no further round of a measure after `DURATION`")
	f.DurationVar(&o.deadline, "deadline", 90*time.Second, "count an edit as never live after `DURATION`")
	f.DurationVar(&o.storm, "storm", 5*time.Second,
		"minimum `DURATION` of a storm of edits, and of the quiet phase before it;\n"+
			"longer if two of the slowest edits take longer")
	f.DurationVar(&o.load, "load", 2*time.Second, "`DURATION` of a round of throughput")
	f.IntVar(&o.heavyBytes, "heavy", 12, "size in `MB` of the data that a decision of the data-heavy policy walks")
	f.IntVar(&o.connections, "connections", 4, "measure throughput with `N` connections")
	f.IntVar(&o.edits, "edits", 0, "measure the sidecar's memory again after `N` edits")
	f.StringVar(&only, "only", "",
		"run only the measures that match `REGEXP`: default, start, edit, storm, memory, data, throughput,\n\"decide KIND\"")
	f.StringVar(&o.json, "json", "", "write the results with all samples to `FILE` as JSON")
	f.BoolVar(&full, "full", false,
		"add 10,000 tenants, 120 MB of data and 1,000 edits, and run at least three rounds;\ntakes more than an hour")
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
	counts := min(o.rounds, o.heavyBytes, o.connections)
	if counts < 1 || min(o.budget, o.deadline, o.storm, o.load) <= 0 {
		errs[3] = errors.New("rounds, heavy, connections and durations must be positive")
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
			return nil, fmt.Errorf("-%s: %q is not a positive number", name, item)
		}
		all = append(all, n)
	}
	return all, nil
}
