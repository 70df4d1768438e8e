package earlyheap

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the setting of this process.
func now() int {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent
}

// again runs one test in a process of its own, with these variables.
func again(t *testing.T, variables ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), append(variables, "EARLYHEAP=again")...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", variables, err, output)
	}
}

func isAgain() bool { return os.Getenv("EARLYHEAP") == "again" }

func TestGosOwnSettingIsBackAfterTheFirstCollection(t *testing.T) {
	if !isAgain() {
		again(t, "GOGC=", "GOMEMLIMIT=")
		return
	}
	if now() != percent {
		t.Fatalf("GOGC is %d before the first collection", now())
	}
	runtime.GC()
	for deadline := time.Now().Add(time.Minute); now() != before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("GOGC is %d after the first collection", now())
		}
	}
}

func TestWhatSomebodySetIsKept(t *testing.T) {
	if !isAgain() {
		again(t, "GOGC=", "GOMEMLIMIT=")
		return
	}
	if back := Take(debug.SetGCPercent(300)); back != before {
		t.Errorf("%d was there before", back)
	}
	if back := Take(debug.SetGCPercent(250)); back != 300 {
		t.Errorf("%d was there before the second time", back)
	}
	for range 3 {
		runtime.GC()
	}
	if now() != 250 {
		t.Errorf("GOGC is %d", now())
	}
}

func TestVariablesAreFollowed(t *testing.T) {
	if !isAgain() {
		again(t, "GOGC=70")
		again(t, "GOGC=", "GOMEMLIMIT=100MiB")
		return
	}
	want := 100
	if os.Getenv("GOGC") == "70" {
		want = 70
	}
	if now() != want || Take(now()) != want {
		t.Errorf("GOGC is %d, expected %d", now(), want)
	}
}
