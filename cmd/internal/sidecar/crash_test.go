package sidecar

import (
	"context"
	"io/fs"
	"strings"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func explode() (fs.FS, error) { panic("boom") }

func TestACrashIsLoggedWithItsStack(t *testing.T) {
	core, logged := observer.New(zapcore.InfoLevel)
	s := &Sidecar{cfg: Config{Logger: zap.New(core), Version: "v1.2.3"}, who: newWho("")}
	e := enginetest.New(t, engine.Config{Source: explode, Announcements: []engine.Announcement{{Name: "log", Run: s.logReport}}})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	report, err := e.Reload(ctx, engine.Trigger{Kind: engine.TriggerAPI})
	stop()
	if ended := <-done; ended != nil {
		t.Error(ended)
	}
	if err == nil || report.Refused == nil || report.Refused.Stage != engine.StagePanic {
		t.Fatalf("%+v, %v: want a crash", report, err)
	}
	entries := logged.FilterMessage(crashed).All()
	if len(entries) != 1 {
		t.Fatalf("logged %v", logged.All())
	}
	fields := entries[0].ContextMap()
	if stack, _ := fields["stack"].(string); !strings.Contains(stack, "sidecar.explode") || fields["version"] != "v1.2.3" {
		t.Errorf("%v", fields)
	}
}
