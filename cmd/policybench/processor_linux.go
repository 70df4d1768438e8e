package main

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// twoCPUs returns two CPUs that this process may use: for the program and for the load.
func twoCPUs() (program, load int, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return 0, 0, fmt.Errorf("list the CPUs: %w", err)
	}
	var found []int
	for cpu := 0; len(found) < min(2, all.Count()); cpu++ {
		if all.IsSet(cpu) {
			found = append(found, cpu)
		}
	}
	if len(found) < 2 {
		return 0, 0, errors.New("one CPU is not enough: the program and the load need one each")
	}
	return found[0], found[1], nil
}

// onCPU calls f on a thread that is pinned to a CPU. Programs that f starts inherit that.
func onCPU(cpu int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // without unlock, so that the thread ends with the goroutine
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			done <- fmt.Errorf("pin a thread to CPU %d: %w", cpu, err)
			return
		}
		done <- f()
	}()
	return <-done
}
