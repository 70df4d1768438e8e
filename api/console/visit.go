package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/gate"
)

// visit is one request of a browser that is signed in.
type visit struct {
	console *Console
	w       http.ResponseWriter
	r       *http.Request
	session *session
	secret  string
	id      string          // of the request
	stream  *api.WorkStream // that answers; nil: a page does
	within  bool            // the room of pages: see [visit.inRoom]
	entered time.Time       // it
	again   bool            // a form is shown with what came with it, and nothing else is done
	status  int             // of the page; 0: 200
}

// answerError is an answer of the API that is no success.
type answerError struct {
	Path    string
	Status  int
	Message string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("%s: %s", e.Path, e.Message)
}

// badRequest says what is wrong with a parameter of a page.
func badRequest(parameter, message string) error {
	return &answerError{Path: parameter, Status: http.StatusBadRequest, Message: message}
}

// get asks the API, with the rights of the session, for what it answers at once.
func (v *visit) get(path string, query url.Values, into any) (err error) {
	if left := v.computing(func() { err = v.getLoaded(path, query, into) }); left != nil {
		return left
	}
	return err
}

// getLoaded asks for what is loaded first, which may take longer: other pages compute meanwhile.
func (v *visit) getLoaded(path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	_, err := v.call(http.MethodGet, path, nil, into)
	return err
}

// post asks the API for a change. The answer may be nil.
func (v *visit) post(path string, body, into any) (status int, err error) {
	return v.call(http.MethodPost, path, body, into)
}

// call asks the API.
func (v *visit) call(method, path string, body, into any) (status int, err error) {
	r, err := v.request(method, path, body)
	if err != nil {
		return 0, err
	}
	w := api.NewMemory()
	v.console.inside.API.ServeHTTP(w, r)
	if w.Status >= http.StatusBadRequest {
		said := struct {
			Error string `json:"error"`
		}{}
		if json.Unmarshal(w.Body.Bytes(), &said) != nil || said.Error == "" {
			said.Error = http.StatusText(w.Status)
		}
		err = &answerError{Path: path, Status: w.Status, Message: said.Error}
	}
	if into != nil && w.Body.Len() > 0 {
		if decoding := json.Unmarshal(w.Body.Bytes(), into); err == nil && decoding != nil {
			return w.Status, fmt.Errorf("%s: %w", path, decoding)
		}
	}
	return w.Status, err
}

// request is one within the process. Nothing of the browser's own goes on but who it is.
func (v *visit) request(method, path string, body any) (*http.Request, error) {
	var text io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(gate.Inside(v.r.Context(), v.session.caller), method, "http://localhost"+path, text)
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = v.r.RemoteAddr
	r.Header.Set(gate.HeaderClient, "console")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(api.HeaderRequestID, v.id)
	return r, nil
}
