package eval

import (
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

other if input.user in admins with data.users as {"u1": {"role": "admin"}}
`,
	})
	e.cfg.OnHot = func(_ *Evaluator, path Path) { hot = append(hot, path.String()) }
	admin, reader := ast.MustParseTerm(`{"user": "u50"}`).Value, ast.MustParseTerm(`{"user": "u1"}`).Value

	for range ProgramAfter {
		answerOf(t, e, Path{"p", "allow"}, admin)
	}
	if got := fmt.Sprint(hot); got != "[data.p.allow]" {
		t.Errorf("after %d decisions, hot are %s", ProgramAfter, got)
	}
	for _, of := range []struct{ name, admin, reader string }{{"allow", "true", "undefined"}, {"other", "undefined", "true"}} {
		path := Path{"p", of.name}
		if err := e.Compile(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		p, err := e.plan(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time with what the first kept
			if got := answerOf(t, e, path, admin); got != of.admin {
				t.Errorf("%s of an admin is %s; want %s", path, got, of.admin)
			}
			if got := answerOf(t, e, path, reader); got != of.reader {
				t.Errorf("%s of a reader is %s; want %s", path, got, of.reader)
			}
		}
		if w := p.way(); w.ByProgram != 4 || w.Asked != 0 {
			t.Errorf("%s is decided so: %+v", path, w)
		}
	}
}
