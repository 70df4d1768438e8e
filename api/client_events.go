package api

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
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
	headers := http.Header{"Accept": {kindEvents}}
	if after != "" {
		headers.Set("Last-Event-ID", after)
	}
	return c.send(ctx, 0, http.MethodGet, "/policy/events", nil, headers, func(_ string, stream io.Reader) error {
		opened()
		return readEvents(stream, each)
	})
}

const maxEventBytes = maxAnswerBytes // an event may have an answer in it

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
