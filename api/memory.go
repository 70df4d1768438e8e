package api

import (
	"bytes"
	"net/http"
)

// Memory is an answer that is kept: that of a call within the process, or one that is sent later. Not safe for concurrent use.
type Memory struct {
	Body   bytes.Buffer
	Status int // 200 unless the handler says another

	header http.Header
}

// NewMemory makes an empty answer.
func NewMemory() *Memory { return &Memory{Status: http.StatusOK, header: http.Header{}} }

// Header is as [http.ResponseWriter] has it.
func (m *Memory) Header() http.Header { return m.header }

// Write adds to the body.
func (m *Memory) Write(p []byte) (int, error) { return m.Body.Write(p) }

// WriteHeader sets the status.
func (m *Memory) WriteHeader(status int) { m.Status = status }
