package builtins_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	thorough = flag.Bool("thorough", false, "make every hostile call, not every eighth, which takes minutes")
	pairs    = flag.Bool("pairs", false, "with -thorough, make those with two hostile operands as well, which takes hours")
)

const (
	firstEnv = "BUILTINS_TEST_FIRST" // the number of the call that it begins with
	setEnv   = "BUILTINS_TEST_SET"   // which calls: thorough, pairs

	memoryLimit = 1<<30 + 256<<20        // the operands themselves are a quarter of a gibibyte
	deadline    = 200 * time.Millisecond // that the calls are given
	maxCPU      = 10 * time.Second       // of a call that looks at no deadline; of the processor, whatever the load
	silence     = 2 * time.Minute        // after which a child counts as hanging
)

func init() { children["attack"] = attack }

// calls are the hostile calls of a set, in an order that does not change.
func calls(set string) []hostile {
	all := generated(set == "pairs")
	if set == "" {
		some := all[:0]
		for i, c := range all {
			if i%8 == 0 {
				some = append(some, c)
			}
		}
		all = some
	}
	return append(specific(), all...)
}

// attack makes the calls from a number on, and says before each which it is.
func attack() int {
	limit := syscall.Rlimit{Cur: memoryLimit, Max: memoryLimit}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		fmt.Println("no memory limit:", err)
		return 3
	}
	debug.SetMemoryLimit(memoryLimit * 3 / 4)
	first, _ := strconv.Atoi(os.Getenv(firstEnv))
	for i, c := range calls(os.Getenv(setEnv)) {
		if i < first {
			continue
		}
		operands := c.operands()
		fmt.Printf("begin %d %s %s\n", i, c.builtin, c.name)
		before := cpuTime()
		_, err := call(c.builtin, deadline, operands...)
		if used := cpuTime() - before; used > maxCPU {
			fmt.Printf("slow %s: %s: %v\n", c.builtin, c.name, used)
		} else if used > maxCPU/20 {
			fmt.Printf("note %s: %s: %v\n", c.builtin, c.name, used)
		}
		if err != nil && strings.HasPrefix(err.Error(), "panic: ") {
			fmt.Printf("panic %s: %s: %.200v\n", c.builtin, c.name, err)
		}
	}
	fmt.Println("done")
	return 0
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestHostileOperandsNeitherCrashNorHang(t *testing.T) {
	if underRaceDetector {
		t.Skip("SKIPPED: the race detector needs more memory than the limit leaves; make hostile runs it without")
	}
	set := ""
	if *thorough {
		set = "thorough"
	}
	if *thorough && *pairs {
		set = "pairs"
	}
	total := len(calls(set))
	first := 0
	for faults := 0; first < total; {
		last, finished := attackFrom(t, set, first)
		if finished {
			break
		}
		if faults++; faults > 20 {
			t.Fatal("too many faults")
		}
		first = last + 1
	}
	t.Logf("%d calls", total)
}

// attackFrom starts a child with the call first, and returns the last that it began.
func attackFrom(t *testing.T, set string, first int) (last int, finished bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=attack", firstEnv+"="+strconv.Itoa(first), setEnv+"="+set, "GOTRACEBACK=single")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hang := time.AfterFunc(silence, func() { _ = cmd.Process.Kill() })
	defer hang.Stop()
	last, what := first, ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		hang.Reset(silence)
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "begin":
			n, name, _ := strings.Cut(rest, " ")
			last, _ = strconv.Atoi(n)
			what = name
		case "slow", "panic":
			t.Error(lines.Text())
		case "done":
			finished = true
		default:
			t.Log(lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil && !finished {
		t.Errorf("%s: the process ended: %v: %.600s", what, err, stderr.String())
	}
	return last, finished
}
