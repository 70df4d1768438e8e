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

	"defenseclaw/engine/corpus"
)

// A request holds the bytes of an HTTP request.
type request struct {
	name  string // for errors
	bytes []byte
}

// dataRequest returns the request for q. It is a GET if q has no input.
func (p *process) dataRequest(q corpus.Question) request {
	method, body := http.MethodGet, ""
	if q.Input != "" {
		method, body = http.MethodPost, `{"input":`+q.Input+`}`
	}
	r := p.request(method, "/v1/data/"+q.Path, body)
	r.name = oneLine(q.Path + " with input " + q.Input)
	return r
}

func (p *process) request(method, path, body string) request {
	r := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, path, p.addr, p.token)
	if body != "" {
		r += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return request{name: method + " " + path, bytes: []byte(r + "\r\n" + body)}
}

// A conn sends requests on one keep-alive connection, and reconnects after an error. It costs the measured
// machine less than an http.Client, since the bytes of a request are built once. Not for concurrent use.
type conn struct {
	addr string
	net  net.Conn
	in   *bufio.Reader
	body []byte
}

// answerTimeout limits the time of one answer.
const answerTimeout = 2 * time.Minute

// do sends r and returns the body of the answer, which is valid until the next call. A status other than
// 200 is an error. Cancelling ctx ends the wait. do connects if necessary and disconnects after an error.
func (c *conn) do(ctx context.Context, r request) (_ []byte, err error) {
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
	return c.exchange(r)
}

func (c *conn) exchange(r request) (_ []byte, err error) {
	if _, err = c.net.Write(r.bytes); err != nil {
		return nil, err
	}
	var status string
	if status, c.body, err = readAnswer(c.in, c.body[:0]); err != nil {
		return nil, err
	}
	if status != "200" {
		return nil, fmt.Errorf("%s: status %s: %.300s", r.name, status, c.body)
	}
	return c.body, nil
}

// readAnswer reads one HTTP/1.1 response, its body into body. [http.ReadResponse] would cost more than the
// measured programs need to answer.
func readAnswer(in *bufio.Reader, body []byte) (status string, _ []byte, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", body, fmt.Errorf("read the header of an answer: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			if _, rest, ok := bytes.Cut(line, []byte("HTTP/1.1 ")); ok && len(rest) >= 3 {
				status = string(rest[:3])
				continue
			}
			return "", body, fmt.Errorf("%.100q is not an HTTP/1.1 response", line)
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
			_, err = in.ReadSlice('\n') // the empty trailer
		}
		return status, body, err
	}
	body = slices.Grow(body, length)[:length]
	_, err = io.ReadFull(in, body)
	return status, body, err
}

// result sends r and returns the result as JSON with sorted keys, or "" if it is undefined.
func (c *conn) result(ctx context.Context, r request) (string, error) {
	body, err := c.do(ctx, r)
	if err != nil {
		return "", err
	}
	var answer struct{ Result any }
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("%s: answer %.300s: %w", r.name, body, err)
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

// sleep waits for d, or until ctx is done.
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
