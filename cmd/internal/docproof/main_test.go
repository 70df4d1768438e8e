//go:build unix

package docproof

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"defenseclaw/cmd/internal/cli"
	"defenseclaw/cmd/internal/fleet/broker"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain makes this test's binary the two programs, in a folder on the path.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){
		"defenseclaw-gateway": func() { os.Exit(cli.Main(os.Args)) },
		"defenseclaw":         func() { os.Exit(cli.Main(os.Args, broker.Run)) },
	})
}

// leakless runs the tests and looks for goroutines that they left.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// kept are the variables of this process that a reader's terminal has too.
var kept = []string{"PATH", "GOROOT", "GOTOOLCHAIN", "GOPROXY", "GOSUMDB", "GOFLAGS", "PYENV_ROOT", "PYENV_VERSION", "TMPDIR"}

// environment is that of a reader: a new home, no settings, no colours, and Go's caches, which lie in the home otherwise.
func environment(home string) []string {
	env := []string{"HOME=" + home, "NO_COLOR=1", "TERM=dumb", "USER=alice", "LC_ALL=C.UTF-8", "GORACE=atexit_sleep_ms=0"}
	for _, name := range kept {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, caches()...)
}

var caches = sync.OnceValue(func() []string {
	text, err := exec.Command("go", "env", "GOCACHE", "GOPATH", "GOMODCACHE").Output()
	values := strings.Split(strings.TrimSpace(string(text)), "\n")
	if err != nil || len(values) != 3 {
		return nil // a page that needs Go says so
	}
	return []string{"GOCACHE=" + values[0], "GOPATH=" + values[1], "GOMODCACHE=" + values[2]}
})
