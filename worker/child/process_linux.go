package child

import (
	"os"
	"syscall"
)

// attributes has the kernel kill a process when the thread ends that started it, whatever ends it.
func attributes(background bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: background}
}

// executable is this program, also where another file is at its path by now, or none: a process must not be of another
// version.
func executable() (string, error) {
	const self = "/proc/self/exe"
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	if running, err := os.Stat(self); err == nil {
		if there, err := os.Stat(path); err != nil || !os.SameFile(running, there) {
			path = self
		}
	}
	return path, nil
}

// limitMemory bounds what this process may write to: heap, stacks, and what Go keeps in reserve. Go's collector
// aims at less, so that a heap that can be collected meets no limit. It also has the kernel end this
// process first when the machine is out of memory.
func limitMemory(bytes int64) error {
	const minReserve, oomScore = 128 << 20, "1000"
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(oomScore), 0) // where it may not, it ends like any other
	limit := uint64(bytes + max(bytes/4, minReserve))
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: limit, Max: limit})
}
