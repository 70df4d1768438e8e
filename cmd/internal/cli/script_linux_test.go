package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/testutil"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() {
	platformCommands = map[string]func(*testscript.TestScript, bool, []string){"workers": scriptWorkers}
}

// scriptWorkers is the command workers COUNT [SIGNAL WHOM…]: it waits until the sidecar of this script has that many
// workers, and then sends a signal to each of these: workers, sidecar. "gone" waits until the workers have ended.
func scriptWorkers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: workers COUNT [KILL|STOP workers|sidecar]… [gone]")
	}
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	text, err := os.ReadFile(filepath.Join(ts.Getenv("DEFENSECLAW_HOME"), "gateway.json"))
	ts.Check(err)
	var g settings.Gateway
	ts.Check(json.Unmarshal(text, &g))
	var found []int
	if !testutil.Eventually(func() bool { found = children(g.PID); return len(found) == count }) {
		ts.Fatalf("the sidecar %d has the workers %v, and not %d", g.PID, found, count)
	}
	signals := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP}
	for args = args[1:]; len(args) > 1; args = args[2:] {
		whom := found
		if args[1] == "sidecar" {
			whom = []int{g.PID}
		}
		for _, pid := range whom {
			ts.Check(syscall.Kill(pid, signals[args[0]]))
		}
	}
	if len(args) == 1 && !testutil.Eventually(func() bool { return !running(found) }) {
		ts.Fatalf("the workers %v have not ended", found)
	}
}

// children returns the processes that a process has started.
func children(parent int) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if fields := procStat(pid); len(fields) > 1 && fields[1] == strconv.Itoa(parent) && fields[0] != "Z" {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func running(pids []int) bool {
	for _, pid := range pids {
		if fields := procStat(pid); len(fields) > 0 && fields[0] != "Z" {
			return true
		}
	}
	return false
}

// procStat returns what the kernel says of a process from its state on; nil if it is gone.
func procStat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}
