package worker

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"defenseclaw/engine"
)

// RoundTrip has another process answer a request by g, within the deadline of its context or, without one, that of
// g. Its body is read to the end, and its headers all reach the process: the caller removes what is secret. The
// error is the evaluation's end at its deadline, [engine.ErrDecisionTimeout], or an *[engine.Unavailable]. The
// body of the response need not be closed.
func (p *Pool) RoundTrip(g *engine.Generation, r *http.Request) (*http.Response, error) {
	body := []byte(nil)
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, fmt.Errorf("read the request: %w", err)
		}
	}
	a, err := p.evaluate(r.Context(), g, &Question{Request: &Request{
		Method: r.Method, URL: r.URL.RequestURI(), Header: r.Header, Body: body,
	}})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: a.Response.Status, Header: a.Response.Header, Body: io.NopCloser(bytes.NewReader(a.Response.Body)),
		ContentLength: int64(len(a.Response.Body)), Request: r,
	}, nil
}
