package eval

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The example in doc.go.
func TestTheExampleOfThePackageComment(t *testing.T) {
	users := make([]string, 1000)
	for i := range users {
		role := "reader"
		if i%50 == 0 {
			role = "admin"
		}
		users[i] = fmt.Sprintf(`"u%d": {"role": %q}`, i, role)
	}
	var hot []string
	e := load(t, map[string]string{
		"data.json": `{"users": {` + strings.Join(users, ",") + `}}`,
		"p.rego": `package p

admins := {name | some name, u in data.users; u.role == "admin"}

allow if input.user in admins

audit if lower(input.user) in admins

other if lower(input.user) in admins with data.users as {"u1": {"role": "admin"}}
`,
	})
	e.cfg.OnHot = func(_ *Evaluator, path Path) { hot = append(hot, path.String()) }
	admin, reader := ast.MustParseTerm(`{"user": "u50"}`).Value, ast.MustParseTerm(`{"user": "u1"}`).Value

	for range HotAfter {
		answerOf(t, e, Path{"p", "allow"}, admin)
	}
	if got := fmt.Sprint(hot); got != "[data.p.allow data.p.allow]" {
		t.Errorf("after %d decisions, hot are %s", HotAfter, got)
	}
	for _, of := range []struct {
		name, admin, reader string
		ahead               error
		constants           int
	}{
		{"allow", "true", "undefined", nil, 0},
		{"audit", "true", "undefined", ErrNotPartial, 1},
		{"other", "undefined", "true", ErrNotPartial, 1},
	} {
		path := Path{"p", of.name}
		if err := e.Ahead(t.Context(), path); !errors.Is(err, of.ahead) {
			t.Errorf("%s: %v; want %v", path, err, of.ahead)
		}
		p, err := e.plan(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := count(p.tier.Load().constants); got != of.constants {
			t.Errorf("%s: %d rules are constants; want %d", path, got, of.constants)
		}
		if got := answerOf(t, e, path, admin); got != of.admin {
			t.Errorf("%s of an admin is %s; want %s", path, got, of.admin)
		}
		if got := answerOf(t, e, path, reader); got != of.reader {
			t.Errorf("%s of a reader is %s; want %s", path, got, of.reader)
		}
	}
}
