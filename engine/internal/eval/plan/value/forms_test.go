package value_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"defenseclaw/engine/internal/eval/plan/value"
	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
	"pgregory.net/rapid"
)

// TestPlainValuesAreThoseOfPackageAST also compares where a value is too large.
func TestPlainValuesAreThoseOfPackageAST(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := terms().Draw(t, "x")
		var a value.Arena
		a.Reset(1 << 40)
		for _, n := range nodes(t, &a, x) {
			limit := rapid.SampledFrom([]int{math.MaxInt, 40, 100, 1000, 10000}).Draw(t, "limit")
			v := n.Term().Value
			want, wantErr := ast.JSON(v)
			if wantErr == nil && jsonast.Size(v, 32, limit) > limit {
				wantErr = jsonast.ErrTooLong
			}
			got, err := n.Plain(32, limit)
			if (err == nil) != (wantErr == nil) || errors.Is(err, jsonast.ErrTooLong) != errors.Is(wantErr, jsonast.ErrTooLong) {
				t.Fatalf("%v within %d: %v; want %v", x, limit, err, wantErr)
			}
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Fatalf("%v is %#v; want %#v", x, got, want)
			}
		}
	})
}

func TestValuesOfGoAreTakenAsByPackageAST(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var v any
		if err := util.UnmarshalJSON([]byte(randomText(random, 4)), &v); err != nil {
			t.Fatal(err)
		}
		v = map[string]any{"v": v, "n": random.IntN(5000) - 100, "texts": []string{"a", "\xff"}, "none": []string(nil)}
		want, err := ast.InterfaceToValue(v)
		if err != nil {
			t.Fatal(err)
		}
		if !value.IsPlain(v) {
			t.Fatalf("%v is not taken", v)
		}
		var a value.Arena
		a.Reset(1 << 40)
		got := a.FromPlain(v)
		if err := a.Err(); err != nil || got.Term().Value.Compare(want) != 0 || got.Term().String() != want.String() {
			t.Fatalf("%v became %v, %v; want %v", v, got.Term(), err, want)
		}
	})
	for _, v := range []any{
		json.Number(""), json.Number("1e400"), json.Number("x"), json.Number("1e99999"), json.Number("01"), 1.5, int64(1), []int{1}, map[string]string{},
		struct{}{}, []any{uint(1)}, map[string]any{"a": []any{float32(1)}}, json.RawMessage("1"),
	} {
		if value.IsPlain(v) {
			t.Errorf("%#v is taken", v)
		}
	}
}
