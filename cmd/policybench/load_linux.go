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

// load asks as fast as answers come, on so many connections, and returns how long each took, sorted,
// in ms. A wrong answer is an error: a wrong answer may well be a fast one.
//
// One thread waits for all connections with epoll, as load generators in C do. A goroutine for each
// would have Go's scheduler wake and sleep twice for each answer, on the processors that are measured.
func (l *loaded) load(ctx context.Context, connections int, d time.Duration, questions []expectation) (took []float64, err error) {
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
		a := &loadConn{next: i, in: bufio.NewReader(nil)}
		if a.fd, err = connect(l.addr, poll); err != nil {
			return nil, err
		}
		conns[int32(a.fd)] = a
		if err := a.ask(questions); err != nil {
			return nil, err
		}
	}
	epollTimeout := 100 // ms
	if l.pinned {
		epollTimeout = 0 // the load has a processor of its own: to wake it costs the program that answers
	}
	started, lastAnswer := time.Now(), time.Now()
	events := make([]syscall.EpollEvent, connections)
	for waiting := connections; waiting > 0; {
		n, err := syscall.EpollWait(poll, events, epollTimeout)
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
			return nil, fmt.Errorf("%s has answered nothing for %s", l.name, answerTimeout)
		}
		for _, e := range events[:max(0, n)] {
			a := conns[e.Fd]
			done, err := a.receive(questions)
			if done {
				now = time.Now()
				took = append(took, milliseconds(now.Sub(a.started)))
				if now.Sub(started) > d {
					waiting--
				} else {
					err = a.ask(questions)
				}
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
		}
	}
	slices.Sort(took)
	return took, nil
}

// loadConn is one connection of a load.
type loadConn struct {
	fd       int
	next     int // of the questions
	started  time.Time
	received []byte // of the answer, so far
	answer   bytes.Reader
	in       *bufio.Reader
	body     []byte
}

// connect opens a connection that poll waits for.
func connect(addr string, poll int) (int, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return 0, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	err = errors.Join(
		syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetNonblock(fd, true),
		syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}))
	if err != nil {
		return 0, errors.Join(fmt.Errorf("connect to %s: %w", addr, err), syscall.Close(fd))
	}
	return fd, nil
}

// ask sends the next question, which is small enough for any socket to take whole.
func (a *loadConn) ask(questions []expectation) error {
	q := questions[a.next%len(questions)]
	a.started, a.received = time.Now(), a.received[:0]
	if n, err := syscall.Write(a.fd, q.request); err != nil || n != len(q.request) {
		return fmt.Errorf("%s: %d of %d bytes were sent: %w", q.name, n, len(q.request), err)
	}
	return nil
}

// receive reads what has come. done says that it was the rest of the answer, which is the right one.
func (a *loadConn) receive(questions []expectation) (done bool, err error) {
	a.received = slices.Grow(a.received, 4096)
	n, err := syscall.Read(a.fd, a.received[len(a.received):cap(a.received)])
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read an answer: %w", err)
	case n == 0:
		return false, fmt.Errorf("read an answer: %w", io.ErrUnexpectedEOF)
	}
	a.received = a.received[:len(a.received)+n]
	a.answer.Reset(a.received)
	a.in.Reset(&a.answer)
	q := questions[a.next%len(questions)]
	var status string
	status, a.body, err = readAnswer(a.in, a.body[:0])
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // more will come
		return false, nil
	case err != nil:
		return false, err
	case status != "200" || !bytes.Contains(a.body, q.part):
		return false, fmt.Errorf("%s is answered %s: %.300s, not %s", q.name, status, a.body, q.part)
	}
	a.next++
	return true, nil
}
