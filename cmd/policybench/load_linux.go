package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// load sends requests on every connection as fast as answers come, for d, and returns the latencies in ms,
// sorted. A wrong answer is an error.
//
// One thread waits for all connections with epoll, as load generators in C do. With one goroutine per
// connection, Go's scheduler would wake and sleep twice for each answer, on the CPUs under test; that
// was half of the measured difference between the programs (docs/decisions/0019).
func (l *loaded) load(
	ctx context.Context, connections int, d time.Duration, questions []expectation,
) (latencies []float64, err error) {
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	defer func() { err = errors.Join(err, syscall.Close(poll)) }()
	conns := map[int32]*loadConn{}
	defer func() {
		for fd := range conns {
			err = errors.Join(err, syscall.Close(int(fd)))
		}
	}()
	for i := range connections {
		c, err := connect(l.addr, poll, i)
		if err != nil {
			return nil, err
		}
		conns[int32(c.fd)] = c
		if err := c.ask(questions); err != nil {
			return nil, err
		}
	}
	started, lastAnswer := time.Now(), time.Now()
	events := make([]syscall.EpollEvent, connections)
	for waiting := connections; waiting > 0; {
		n, err := syscall.EpollWait(poll, events, l.epollTimeout())
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return nil, fmt.Errorf("epoll: %w", err)
		}
		now := time.Now()
		if n > 0 {
			lastAnswer = now
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if now.Sub(lastAnswer) > answerTimeout {
			return nil, fmt.Errorf("%s: no answer for %s", l.name, answerTimeout)
		}
		for _, e := range events[:max(0, n)] {
			c := conns[e.Fd]
			done, err := c.receive(questions)
			if done {
				now = time.Now()
				latencies = append(latencies, milliseconds(now.Sub(c.started)))
				if now.Sub(started) > d {
					waiting--
				} else {
					err = c.ask(questions)
				}
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
		}
	}
	slices.Sort(latencies)
	return latencies, nil
}

// epollTimeout returns how long one wait for events may take, in ms.
func (l *loaded) epollTimeout() int {
	if l.pinned {
		return 0 // busy-wait on the CPU of the load; to wake it would cost the program time
	}
	return 100
}

// loadConn is one connection of a load.
type loadConn struct {
	fd       int
	next     int // index of the current question
	started  time.Time
	received []byte // the part of the answer received so far
	answer   bytes.Reader
	in       *bufio.Reader
	body     []byte
}

// connect opens a connection, whose first question is the one at index next, and adds it to the epoll
// instance poll.
func connect(addr string, poll, next int) (*loadConn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer), // before the kernel chooses one
		syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetNonblock(fd, true),
		syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", addr, err), syscall.Close(fd))
	}
	return &loadConn{fd: fd, next: next, in: bufio.NewReader(nil)}, nil
}

// sendBuffer is how much a connection takes at once. The kernel limits it, on most machines to 208 KiB.
const sendBuffer = 1 << 20

// ask sends the current question, which is small enough for one write: the answer to the one before has been received,
// so the buffer is empty.
func (c *loadConn) ask(questions []expectation) error {
	q := questions[c.next%len(questions)]
	c.started, c.received = time.Now(), c.received[:0]
	if n, err := syscall.Write(c.fd, q.bytes); err != nil || n != len(q.bytes) {
		return fmt.Errorf("%s: %d of %d bytes sent: %w", q.name, n, len(q.bytes), err)
	}
	return nil
}

// receive reads the available part of the answer. done reports that the answer is complete and correct.
func (c *loadConn) receive(questions []expectation) (done bool, err error) {
	c.received = slices.Grow(c.received, 4096)
	n, err := syscall.Read(c.fd, c.received[len(c.received):cap(c.received)])
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read an answer: %w", err)
	case n == 0:
		return false, fmt.Errorf("read an answer: %w", io.ErrUnexpectedEOF)
	}
	c.received = c.received[:len(c.received)+n]
	c.answer.Reset(c.received)
	c.in.Reset(&c.answer)
	q := questions[c.next%len(questions)]
	var status string
	status, c.body, err = readAnswer(c.in, c.body[:0])
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // incomplete
		return false, nil
	case err != nil:
		return false, err
	case status != "200" || !bytes.Contains(c.body, q.part):
		return false, fmt.Errorf("%s: status %s: %.300s, want %s", q.name, status, c.body, q.part)
	}
	c.next++
	return true, nil
}
