package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"time"
)

// A question is a request, ready to be sent.
type question struct {
	name    string
	request []byte
	want    string // the result, as JSON; empty: any
}

// ask makes the question of what data.path is for the input, which may be empty.
func (p *process) ask(path, input, want string) question {
	method, body := http.MethodGet, ""
	if input != "" {
		method, body = http.MethodPost, `{"input":`+input+`}`
	}
	return question{name: path + " of " + input, want: want, request: p.request(method, "/v1/data/"+path, body)}
}

func (p *process) request(method, path, body string) []byte {
	r := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, path, p.addr, p.token)
	if body != "" {
		r += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return []byte(r + "\r\n" + body)
}

// A conn asks one question after the other on one keep-alive connection, and opens it anew when it
// was lost. It costs the machine that is measured less than an http.Client: the bytes of a question
// are made once. Not for concurrent use.
type conn struct {
	addr string
	net  net.Conn
	in   *bufio.Reader
	body []byte
}

// answerTimeout is how long one answer may take. A program that needs longer counts as not answering.
const answerTimeout = 2 * time.Minute

// do sends the question and returns the body of the answer, which is good until the next call.
// An answer whose status is not 200 is an error. Cancelling ctx ends the wait. The connection is opened, if
// it is not open, and closed after an error.
func (c *conn) do(ctx context.Context, q question) (_ []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.net == nil {
		var d net.Dialer
		if c.net, err = d.DialContext(ctx, "tcp", c.addr); err != nil {
			c.net = nil
			return nil, err
		}
		c.in = bufio.NewReader(c.net)
	}
	opened := c.net
	stop := context.AfterFunc(ctx, func() { _ = opened.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() || err != nil {
			c.close()
		}
	}()
	if err := opened.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	return c.exchange(q)
}

func (c *conn) exchange(q question) (_ []byte, err error) {
	if _, err = c.net.Write(q.request); err != nil {
		return nil, err
	}
	var status string
	if status, c.body, err = readAnswer(c.in, c.body[:0]); err != nil {
		return nil, err
	}
	if status != "200" {
		return nil, fmt.Errorf("%s is answered %s: %.300s", q.name, status, c.body)
	}
	return c.body, nil
}

// readAnswer reads one answer of HTTP/1.1, its body into body. [http.ReadResponse] costs more than the
// programs that are measured need to answer.
func readAnswer(in *bufio.Reader, body []byte) (status string, _ []byte, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", body, fmt.Errorf("read the head of an answer: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			if _, rest, ok := bytes.Cut(line, []byte("HTTP/1.1 ")); ok && len(rest) >= 3 {
				status = string(rest[:3])
				continue
			}
			return "", body, fmt.Errorf("%.100q is no answer of HTTP/1.1", line)
		}
		if len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return "", body, err
			}
		}
	}
	if length < 0 {
		body, err = io.ReadAll(httputil.NewChunkedReader(in))
		if err == nil {
			_, err = in.ReadSlice('\n') // of the trailer, which is empty
		}
		return status, body, err
	}
	body = slices.Grow(body, length)[:length]
	_, err = io.ReadFull(in, body)
	return status, body, err
}

// result asks, and returns the result as JSON with sorted keys; empty when it is undefined.
func (c *conn) result(ctx context.Context, q question) (string, error) {
	body, err := c.do(ctx, q)
	if err != nil {
		return "", err
	}
	var answer struct{ Result any }
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("%s is answered %.300s: %w", q.name, body, err)
	}
	if answer.Result == nil {
		return "", nil
	}
	text, err := json.Marshal(answer.Result)
	return string(text), err
}

func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close()
		c.net = nil
	}
}

// pause waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
