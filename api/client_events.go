package api

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"defenseclaw/api/gate"
)

// StreamEvent is one server-sent event.
type StreamEvent struct {
	ID   string // where a later stream resumes
	Name string // lifecycle, or gap where events are missing
	Data []byte // JSON
}

// Events reads GET /policy/events, from the event after the one with the id after, or from the next one if that is empty. It calls
// opened when the stream is open, and each for every event, until the stream or ctx ends or each returns an error, which it
// returns. [Client].Timeout does not apply.
func (c *Client) Events(ctx context.Context, after string, opened func(), each func(StreamEvent) error) error {
	const path = "/policy/events"
	to, err := c.connect(ctx)
	if err != nil {
		return unreachable(c.url(path), 0, err)
	}
	defer to.conn.Close() //nolint:errcheck // net/http has closed it if all went well
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to.base+path, http.NoBody)
	if err != nil {
		return err
	}
	to.identify(request)
	request.Header.Set("Accept", kindEvents)
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	response, err := (&http.Client{Transport: to.transport(c.TLS)}).Do(request)
	if err != nil {
		return unreachable(to.name+path, 0, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if response.StatusCode != http.StatusOK {
		const maxMessage = 64 << 10
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxMessage))
		return &AnswerError{URL: to.name + path, StatusCode: response.StatusCode, Body: body}
	}
	opened()
	return readEvents(response.Body, each)
}

// identify says in a request who calls.
func (to *connection) identify(request *http.Request) {
	if to.token != "" {
		request.Header.Set("Authorization", "Bearer "+to.token)
		request.Header.Set(gate.HeaderToken, to.token)
	}
	request.Header.Set(gate.HeaderClient, "cli")
}

const maxEventBytes = 16 << 20 // an event with every diagnostic of a large policy

// readEvents reads server-sent events as HTML's standard defines them, until the stream ends. Its id holds from an event on,
// also for those that have none. An id without data is an event without a name and without data.
func readEvents(r io.Reader, each func(StreamEvent) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEventBytes)
	var now StreamEvent
	any := false
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if any {
				now.Data = bytes.TrimSuffix(now.Data, []byte("\n"))
				if err := each(now); err != nil {
					return err
				}
			}
			now, any = StreamEvent{ID: now.ID}, false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			now.ID, any = value, true
		case "event":
			now.Name, any = value, true
		case "data":
			now.Data, any = append(append(now.Data, value...), '\n'), true
		}
	}
	return lines.Err()
}
