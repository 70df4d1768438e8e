package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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

// answerLimit is how long one answer may take. A program that needs longer counts as not answering.
const answerLimit = 2 * time.Minute

// do sends the question and returns the body of the answer, which is good until the next call.
// An answer whose status is not 200 is an error. Cancelling ctx ends the wait.
func (c *conn) do(ctx context.Context, q question) (body []byte, err error) {
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
	if err := opened.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return nil, err
	}
	if _, err := opened.Write(q.request); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was read to its end, or the connection is given up
	if c.body, err = readAll(c.body[:0], answer.Body); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s is answered %s: %.300s", q.name, answer.Status, c.body)
	}
	return c.body, nil
}

func readAll(into []byte, from io.Reader) ([]byte, error) {
	for {
		if len(into) == cap(into) {
			into = append(into, 0)[:len(into)]
		}
		n, err := from.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if errors.Is(err, io.EOF) {
			return into, nil
		}
		if err != nil {
			return into, err
		}
	}
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
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
