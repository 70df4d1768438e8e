package main

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// twoCPUs are two that this process may use: for the program that is measured and for the load.
func twoCPUs() (program, load int, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return 0, 0, fmt.Errorf("ask which processors there are: %w", err)
	}
	var found []int
	for cpu := 0; len(found) < min(2, all.Count()); cpu++ {
		if all.IsSet(cpu) {
			found = append(found, cpu)
		}
	}
	if len(found) < 2 {
		return 0, 0, errors.New("there is one processor; one for the program and one for the load were expected")
	}
	return found[0], found[1], nil
}

// onCPU calls f on a thread that is pinned to the processor, and so is every program that f starts.
func onCPU(cpu int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			done <- fmt.Errorf("bind a thread to processor %d: %w", cpu, err)
			return
		}
		done <- f()
	}()
	return <-done
}
