package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"defenseclaw/engine/review"
)

// callLong is call for work that may take long. Where ctx has somebody who wants to know, the sidecar is asked for events.
func (c *Client) callLong(ctx context.Context, method, path string) ([]byte, error) {
	told := review.ProgressOf(ctx)
	if told == nil {
		return c.call(ctx, method, path, nil)
	}
	return c.ask(ctx, method, path, nil, http.Header{"Accept": {kindEvents}}, func(name string, text io.Reader) ([]byte, error) {
		return readLong(name, text, told)
	})
}

// readLong reads events until one has the answer, or what it would have been.
func readLong(url string, text io.Reader, told func(review.Progress)) (answer []byte, err error) {
	in := bufio.NewReader(text)
	if first, err := in.Peek(1); err == nil && first[0] == '{' { // a sidecar that has no events here
		return io.ReadAll(io.LimitReader(in, maxAnswerBytes))
	}
	err = readEvents(in, func(e StreamEvent) error {
		switch e.Name {
		case "progress":
			var p Progress
			if err := json.Unmarshal(e.Data, &p); err != nil {
				return err
			}
			told(review.Progress{Step: p.Step, Done: p.Done, Total: p.Total})
		case "result":
			answer = e.Data
		case "error":
			var failed FailedWork
			if err := json.Unmarshal(e.Data, &failed); err != nil {
				return err
			}
			return &AnswerError{URL: url, StatusCode: failed.Status, Body: failed.Body}
		}
		return nil
	})
	if err == nil && answer == nil {
		err = io.ErrUnexpectedEOF
	}
	return answer, err
}
