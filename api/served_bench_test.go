package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"defenseclaw/api/gate"
	"defenseclaw/engine/corpus"
)

// BenchmarkServedDecision is BenchmarkDataDecision over a connection that is kept open, to [api.Server.Run].
func BenchmarkServedDecision(b *testing.B) {
	files, questions := corpus.Small()
	connections, err := gate.NewConnections(gate.ConnectionsConfig{Max: 100})
	if err != nil {
		b.Fatal(err)
	}
	s := (&sidecar{t: b, files: policy(files), connections: connections}).start(b, nil)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	q := questions[0]
	body := `{"input":` + q.Input + `}`
	request := fmt.Appendf(nil, "POST /v1/data/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", q.Path, token, len(body), body)
	in := bufio.NewReader(conn)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			b.Fatal(response.Status, err)
		}
	}
}
