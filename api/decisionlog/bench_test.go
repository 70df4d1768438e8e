package decisionlog_test

import (
	"io"
	"runtime"
	"testing"

	"defenseclaw/api/decisionlog"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// BenchmarkEvent is one event from the end of its decision to the sink, as fast as the log can take them.
func BenchmarkEvent(b *testing.B) {
	for name, policy := range map[string]string{
		"masks=none": "package other",
		"masks=one":  "package system.log\nmask contains \"/input/card\" if input.input.card",
	} {
		b.Run(name, func(b *testing.B) {
			l := run(b, decisionlog.Config{Console: io.Discard})
			g := load(b, map[string]string{"log.rego": policy})
			input := ast.MustParseTerm(`{"user":"alice","method":"GET","path":["a","b"],"card":"1234567812345678","roles":["dev","ops"]}`).Value
			begun := 0
			for b.Loop() {
				l.Begin(b.Context(), g, decision.Question{ID: "id", Path: engine.Path{"p", "x"}, Input: engine.InputOf(input)})(decision.Answer{Result: ast.Boolean(true), Defined: true})
				for begun++; begun%1000 == 0 && l.Health().Written[decisionlog.SinkConsole] < uint64(begun); { // so that none is dropped
					runtime.Gosched()
				}
			}
			if err := l.stop(); err != nil || l.Health().Written[decisionlog.SinkConsole] != uint64(begun) {
				b.Fatal(err, begun, l.Health())
			}
		})
	}
}
