package client_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"defenseclaw/client"
)

type user struct {
	User string `json:"user"`
}

func TestADecisionIsReadIntoAType(t *testing.T) {
	need(t)
	c := open(t, client.Config{})
	var roles []string
	if err := c.Decide(t.Context(), "app/roles", user{"ada"}, &roles); err != nil || !reflect.DeepEqual(roles, []string{"admin", "dev"}) {
		t.Errorf("%v, %v", roles, err)
	}
	var number int
	if err := c.Decide(t.Context(), "app/word", nil, &number); err == nil || !strings.Contains(err.Error(), "the result of app/word") {
		t.Errorf("a text as a number: %v", err)
	}
	d, err := c.Ask(t.Context(), "/app/allow/", user{"bob"})
	if err != nil || string(d.Result) != "false" || d.ID == "" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := c.Ask(t.Context(), "app/allow", make(chan int)); err == nil || !strings.Contains(err.Error(), "the input of app/allow") {
		t.Errorf("an input that is no JSON: %v", err)
	}
}

func TestUndefinedIsAKindOfError(t *testing.T) {
	need(t)
	c := open(t, client.Config{})
	out := []string{"as it was"}
	err := c.Decide(t.Context(), "app/roles", user{"bob"}, &out)
	if !errors.Is(err, client.ErrUndefined) || err.Error() != "app/roles is undefined" || out[0] != "as it was" {
		t.Errorf("%v, %v", out, err)
	}
	err = c.Decide(t.Context(), "app/rolls", user{"ada"}, &out)
	var undefined *client.UndefinedError
	if !errors.Is(err, client.ErrUndefined) || !errors.As(err, &undefined) || !strings.Contains(undefined.Warning, "did you mean data.app.roles?") {
		t.Errorf("%v", err)
	}
}

func TestAllowedFailsClosed(t *testing.T) {
	need(t)
	c := open(t, client.Config{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx     context.Context
		path    string
		input   any
		allowed bool
		err     string
	}{
		"true":              {t.Context(), "app/allow", user{"ada"}, true, ""},
		"false":             {t.Context(), "app/allow", user{"bob"}, false, ""},
		"no input":          {t.Context(), "app/allow", nil, false, ""},
		"undefined":         {t.Context(), "app/never", user{"ada"}, false, ""},
		"no such rule":      {t.Context(), "app/alow", user{"ada"}, false, "did you mean data.app.allow?"},
		"a text":            {t.Context(), "app/word", nil, false, `the result of app/word is neither true nor false: "yes"`},
		"a list":            {t.Context(), "app/roles", user{"ada"}, false, "neither true nor false"},
		"the policy fails":  {t.Context(), "app/divided", map[string]int{"by": 0}, false, "answered 500"},
		"no such path":      {t.Context(), `app/a"b`, nil, false, "answered 400"},
		"the caller is off": {ended, "app/allow", user{"ada"}, false, "context canceled"},
	} {
		allowed, err := c.Allowed(tt.ctx, tt.path, tt.input)
		if allowed != tt.allowed || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, %v; want %v, …%s…", name, allowed, err, tt.allowed, tt.err)
		}
	}
}

func TestAnAnswerThatIsNoDecisionSaysWhat(t *testing.T) {
	need(t)
	_, err := open(t, client.Config{}).Ask(t.Context(), "app/divided", map[string]int{"by": 0})
	var answered *client.Error
	if !errors.As(err, &answered) || answered.StatusCode != 500 || answered.Code != "internal_error" || !strings.Contains(answered.Message, "conflict") {
		t.Errorf("%v", err)
	}
}

func TestEachInputHasAnOutcomeOfItsOwn(t *testing.T) {
	need(t)
	c := open(t, client.Config{})
	got, err := client.DecideEach[float64](t.Context(), c, "app/divided", map[string]any{
		"four": map[string]int{"by": 4}, "zero": map[string]int{"by": 0}, "none": map[string]int{},
	})
	var failed *client.Error
	if err != nil || len(got) != 3 || got["four"].Value != 0.25 || got["four"].Err != nil || !errors.Is(got["none"].Err, client.ErrUndefined) {
		t.Errorf("%+v, %v", got, err)
	}
	if !errors.As(got["zero"].Err, &failed) || failed.Code != "internal_error" {
		t.Errorf("%v", got["zero"].Err)
	}
	got, err = client.DecideEach[float64](t.Context(), c, "app/divided", map[string]any{"zero": map[string]int{"by": 0}})
	if err != nil || !errors.As(got["zero"].Err, &failed) {
		t.Errorf("all of them fail: %+v, %v", got, err)
	}
	absent, err := client.DecideEach[bool](t.Context(), c, "app/alow", map[string]any{"a": nil})
	if err != nil || !errors.Is(absent["a"].Err, client.ErrUndefined) || !strings.Contains(absent["a"].Err.Error(), "did you mean") {
		t.Errorf("%+v, %v", absent, err)
	}
	if none, err := client.DecideEach[bool](t.Context(), c, "app/allow", nil); err == nil && len(none) > 0 {
		t.Errorf("%v", none)
	}
	if _, err := client.DecideEach[bool](t.Context(), c, `app/"`, map[string]any{"a": nil}); !errors.As(err, &failed) || failed.StatusCode != 400 {
		t.Errorf("%v", err)
	}
}
