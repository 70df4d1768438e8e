package replay_test

import (
	"fmt"
	"testing"

	"defenseclaw/engine/review"
	"defenseclaw/engine/review/replay"
)

var shop = files{
	"shop/app.rego": `package shop

import data.lib

default allow := false

allow if {
	lib.may(input.role, input.action)
	not blocked
}

allow if input.role == "root"

blocked if input.user in data.blocked

level := "high" if {
	input.amount > 100
} else := "low"

limit[role] := n if some role, n in data.limits

wraps := {"allow": allow, "level": level}
`,
	"lib/lib.rego": `package lib

may(role, action) if action in actions[role]

actions := {"admin": {"read", "write"}, "viewer": {"read"}}
`,
	"data.json": `{"blocked": ["eve"], "limits": {"admin": 10}}`,
}

func TestTheCauseIsTheDeepestRuleThatDiffers(t *testing.T) {
	input := func(role, action, user string, amount int) string {
		return fmt.Sprintf(`{"role":%q,"action":%q,"user":%q,"amount":%d}`, role, action, user, amount)
	}
	inputs := []string{
		input("admin", "write", "ann", 50), input("viewer", "read", "ann", 150), input("viewer", "write", "bob", 1),
		input("admin", "read", "eve", 1), input("root", "write", "eve", 100), input("none", "read", "joe", 1000),
	}
	app := shop["shop/app.rego"]
	for name, c := range map[string]struct {
		path  string
		edit  files
		kind  review.FlipKind
		count int
		want  review.Cause
	}{
		"a clause": {
			"shop/allow", edit(app, `input.role == "root"`, `input.role == "nobody"`), review.AllowToDeny, 1,
			review.Cause{Rule: "data.shop.allow", File: "shop/app.rego", Row: 12},
		},
		"a clause that is gone": {
			"shop/allow", edit(app, `allow if input.role == "root"`, ``), review.AllowToDeny, 1,
			review.Cause{Rule: "data.shop.allow", File: "shop/app.rego", Row: 12},
		},
		"a clause that is new": {
			"shop/allow", edit(app, `blocked if`, "allow if input.action == \"read\"\n\nblocked if"), review.DenyToAllow, 2,
			review.Cause{Rule: "data.shop.allow", File: "shop/app.rego", Row: 14},
		},
		"a rule below": {
			"shop/allow", edit(app, `input.user in data.blocked`, `input.user in {"ann", "eve"}`), review.AllowToDeny, 2,
			review.Cause{Rule: "data.shop.blocked", File: "shop/app.rego", Row: 14},
		},
		"a function": {
			"shop/allow", files{"lib/lib.rego": `package lib

may(role, action) if action in actions[role]

may("viewer", "write") if true

actions := {"admin": {"read", "write"}, "viewer": {"read"}}
`}, review.DenyToAllow, 1, review.Cause{Rule: "data.lib.may", File: "lib/lib.rego", Row: 5},
		},
		"what a function reads": {
			"shop/wraps", edit2("lib/lib.rego", shop["lib/lib.rego"], `"viewer": {"read"}`, `"viewer": set()`), review.AllowToDeny, 1,
			review.Cause{Rule: "data.lib.actions", File: "lib/lib.rego", Row: 5},
		},
		"data": {
			"shop/allow", files{"data.json": `{"blocked": ["eve", "ann"], "limits": {"admin": 10}}`}, review.AllowToDeny, 2,
			review.Cause{Rule: "data.shop.blocked", File: "shop/app.rego", Row: 14, Data: "data.blocked"},
		},
		"data that is the answer": {
			"limits/admin", files{"data.json": `{"blocked": ["eve"], "limits": {"admin": 11}}`}, review.OtherFlip, 6,
			review.Cause{Data: "data.limits.admin"},
		},
		"data behind a variable": {
			"shop/limit", files{"data.json": `{"blocked": ["eve"], "limits": {"admin": 11}}`}, review.OtherFlip, 6,
			review.Cause{Rule: "data.shop.limit", File: "shop/app.rego", Row: 20, Data: "data.limits.admin"},
		},
		"a default": {
			"shop/allow", edit(app, `default allow := false`, `default allow := true`), review.DenyToAllow, 3,
			review.Cause{Rule: "data.shop.allow", File: "shop/app.rego", Row: 5},
		},
		"an else": {
			"shop/level", edit(app, `else := "low"`, `else := "none"`), review.OtherFlip, 4,
			review.Cause{Rule: "data.shop.level", File: "shop/app.rego", Row: 18},
		},
		"a package": {
			"shop", edit(app, `input.amount > 100`, `input.amount > 99`), review.OtherFlip, 1,
			review.Cause{Rule: "data.shop.level", File: "shop/app.rego", Row: 16},
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := load(t, shop, nil)
			candidate := load(t, shop.with(c.edit), base)
			r := run(t, base, candidate, decide(t, base, c.path, inputs...), replay.Options{})
			if len(r.Groups) != 1 || r.Flips[c.kind] != c.count || r.Total() != c.count {
				t.Fatalf("flips %v, groups %+v", r.Flips, r.Groups)
			}
			if g := r.Groups[0]; g.Cause != c.want || g.Kind != c.kind || g.Count != c.count {
				t.Errorf("got %+v, want %+v", g, c.want)
			}
		})
	}
}

// Of several rules of a package that differ alike, the first of the file is the cause, for each record of each replay.
func TestTheCauseIsTheSameEachTime(t *testing.T) {
	base := load(t, files{"p.rego": "package p\n\nb := data.x\n\na := data.x\n\nd := data.x\n\nc := data.x\n", "data.json": `{"x": 1}`}, nil)
	candidate := load(t, files{"p.rego": "package p\n\nb := data.x\n\na := data.x\n\nd := data.x\n\nc := data.x\n", "data.json": `{"x": 2}`}, base)
	recs := decide(t, base, "p", "1", "2", "3", "4", "5", "6", "7", "8")
	want := review.Cause{Rule: "data.p.b", File: "p.rego", Row: 3, Data: "data.x"}
	for range 4 {
		if r := run(t, base, candidate, recs, replay.Options{}); len(r.Groups) != 1 || r.Groups[0].Cause != want {
			t.Fatalf("%+v, and %+v was expected", r.Groups, want)
		}
	}
}
