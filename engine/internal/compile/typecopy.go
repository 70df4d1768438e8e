package compile

import "github.com/open-policy-agent/opa/v1/types"

// copyOf copies a type as deep as a type checker may write. Where OPA's checker joins the types of several
// rules at one place, it writes into the dynamic properties of an object type that it got from elsewhere
// (mergeTypes in ast/env.go). So a type from one compiler is copied before another compiler sees it: several
// compile at the same time, and a type that a signature holds must not change (invariant 1). Recursive types
// are not copied; OPA makes them of JSON schemas alone, and no compiler here is given any.
func copyOf(t types.Type) types.Type {
	switch t := t.(type) {
	case *types.Array:
		static := make([]types.Type, t.Len())
		for i := range static {
			static[i] = copyOf(t.Select(i))
		}
		return types.NewArray(static, copyOf(t.Dynamic()))
	case *types.Object:
		static := make([]*types.StaticProperty, 0, len(t.StaticProperties()))
		for _, p := range t.StaticProperties() {
			static = append(static, types.NewStaticProperty(p.Key, copyOf(p.Value)))
		}
		dynamic := t.DynamicProperties()
		if dynamic != nil {
			dynamic = types.NewDynamicProperty(copyOf(dynamic.Key), copyOf(dynamic.Value))
		}
		return types.NewObject(static, dynamic)
	case *types.Set:
		return types.NewSet(copyOf(t.Of()))
	case types.Any:
		return types.Any(copiesOf(t))
	case *types.Function:
		return types.NewFunction(copiesOf(t.FuncArgs().Args), copyOf(t.Result()))
	case *types.NamedType:
		return &types.NamedType{Name: t.Name, Descr: t.Descr, Type: copyOf(t.Type)}
	default: // nothing to write into
		return t
	}
}

func copiesOf(all []types.Type) []types.Type {
	copies := make([]types.Type, len(all))
	for i, t := range all {
		copies[i] = copyOf(t)
	}
	return copies
}
