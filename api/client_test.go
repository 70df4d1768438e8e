package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"defenseclaw/api"
)

// The original gateway refuses a request without the type with 415, also where there is no body.
func TestCommandsAlwaysNameTheTypeOfWhatTheySend(t *testing.T) {
	original := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet, strings.Contains(r.Header.Get("Content-Type"), "application/json"):
			_, _ = io.WriteString(w, `{"status":"reloaded"}`)
		default:
			http.Error(w, `{"error":"Content-Type must be application/json"}`, http.StatusUnsupportedMediaType)
		}
	}))
	defer original.Close()
	c := api.Client{Addr: strings.TrimPrefix(original.URL, "http://"), Token: "t", AnyListener: true}
	entry := api.ListRequest{TargetType: "skill", TargetName: "x"}
	for name, call := range map[string]func(context.Context) error{
		"reload":          func(ctx context.Context) error { _, err := c.Reload(ctx); return err },
		"accept removals": func(ctx context.Context) error { _, err := c.AcceptRemovals(ctx); return err },
		"list add":        func(ctx context.Context) error { _, err := c.AddToList(ctx, "block", entry); return err },
		"list remove":     func(ctx context.Context) error { return c.RemoveFromList(ctx, "block", entry) },
		"data":            func(ctx context.Context) error { _, err := c.Data(ctx, []string{"p"}, nil, nil); return err },
		"status":          func(ctx context.Context) error { _, err := c.Status(ctx); return err },
	} {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
