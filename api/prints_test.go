package api_test

import (
	"context"
	"net/http"
	"testing"

	"defenseclaw/api"
	"defenseclaw/engine"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// The level of the log may change while a sidecar runs: what is printed is written while the log takes it.
func TestPrintsFollowTheLevelOfTheLog(t *testing.T) {
	t.Parallel()
	level := zap.NewAtomicLevelAt(zap.WarnLevel)
	core, logs := observer.New(level)
	prints := api.NewPrints(zap.New(core))
	s := start(t, map[string]string{"p.rego": "package p\n\nallow if { print(input.user); true }"}, func(c *api.Config, _ *engine.Config) { c.Prints = prints })
	decide := func(user string) {
		t.Helper()
		s.expect(http.MethodPost, "/v1/data/p/allow", `{"input":{"user":"`+user+`"}}`, http.StatusOK, `"result":true`)
	}
	decide("first")
	level.SetLevel(zap.InfoLevel)
	decide("second")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := prints.Run(ctx); err != nil { // writes what waits
		t.Fatal(err)
	}
	var texts []any
	for _, entry := range logs.FilterMessage("print").All() {
		texts = append(texts, entry.ContextMap()["text"])
	}
	if len(texts) != 1 || texts[0] != "second" {
		t.Errorf("printed: %v", texts)
	}
}
