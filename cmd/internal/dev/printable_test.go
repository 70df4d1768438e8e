package dev

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine/diagnostic"
)

// fill sets every string that v holds to text.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() { // the others are for the loop, and not printed
				fill(v.Field(i), text)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), text)
		}
	case reflect.Interface:
		if v.Type() == reflect.TypeFor[error]() {
			v.Set(reflect.ValueOf(errors.New(text)))
		} else {
			v.Set(reflect.ValueOf(text))
		}
	}
}

// TestNoTextOfARoundReachesTheTerminalRaw fills every text of a round, and then leaves out what hides the rest.
func TestNoTextOfARoundReachesTheTerminalRaw(t *testing.T) {
	const hostile = "x\x1b[2J\u202e\u0085\r\xff"
	for _, leaveOut := range []func(*Round){
		func(*Round) {},
		func(r *Round) { r.Err = nil },
		func(r *Round) {
			r.Err, r.Problems, r.Searching = nil, diagnostic.List{}, false
			for i := range r.Decisions {
				r.Decisions[i].Err, r.Decisions[i].New = nil, i == 0
			}
		},
		func(r *Round) { r.Searching, r.SearchErr = false, nil },
	} {
		var r Round
		fill(reflect.ValueOf(&r).Elem(), hostile)
		leaveOut(&r)
		shown := printable(r)
		p := noPaint(report.AsIs)
		text := p.headline(&shown) + "\n" + p.named(shown.Changed) + "\n" + strings.Join(p.body(&shown), "\n")
		if i := strings.IndexAny(text, "\x1b\u202e\u0085\r"); i >= 0 || strings.ToValidUTF8(text, "") != text {
			t.Errorf("at byte %d of %q", i, text)
		}
		if !strings.Contains(text, `x\u001b[2J\u202e`) {
			t.Errorf("it is not shown: %q", text)
		}
	}
}
