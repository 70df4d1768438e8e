package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/engine/review"
)

// A client whose caller wants to know is told how far work is, and gets the answer that it gets otherwise.
func TestAClientTellsHowFarWorkIs(t *testing.T) {
	s := start(t, map[string]string{"p.rego": limited}, replaying)
	s.files = policy(map[string]string{"p.rego": strings.Replace(limited, "< 5", "< 1", 1)})
	client := &api.Client{Addr: s.addr, Token: token, AnyListener: true}
	var steps []string
	ctx := review.WithProgress(context.Background(), func(p review.Progress) { steps = append(steps, p.Step) })
	for _, ctx := range []context.Context{context.Background(), ctx} {
		answer, err := client.Replay(ctx, api.SideServing, api.SideDisk)
		if err != nil || answer.Replay.Flips["allow_to_deny"] != 1 {
			t.Errorf("%+v: %v", answer, err)
		}
		found, err := client.Diff(ctx, api.SideServing, api.SideDisk, true)
		if err != nil || found.Same || !strings.Contains(found.Text, "< 1") {
			t.Errorf("%+v: %v", found, err)
		}
		var failed *api.AnswerError
		if _, err := client.Diff(ctx, api.SideServing, "ffff", false); !errors.As(err, &failed) || failed.StatusCode != http.StatusNotFound || !strings.Contains(failed.Error(), "ffff") {
			t.Errorf("no such side: %v", err)
		}
	}
	if len(steps) < 3 {
		t.Errorf("it was told %q", steps)
	}
}
