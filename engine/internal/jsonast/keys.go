package jsonast

import "github.com/open-policy-agent/opa/v1/ast"

// repeated reports whether two of the pairs have the same key. All keys are strings.
func repeated(pairs [][2]*ast.Term) bool {
	const maxCompared = 16 // more are faster found with a map, fewer without
	if len(pairs) > maxCompared {
		seen := make(map[ast.String]struct{}, len(pairs))
		for _, pair := range pairs {
			seen[keyOf(pair)] = struct{}{}
		}
		return len(seen) < len(pairs)
	}
	for i, pair := range pairs {
		key := keyOf(pair)
		for _, earlier := range pairs[:i] {
			if keyOf(earlier) == key {
				return true
			}
		}
	}
	return false
}

func keyOf(pair [2]*ast.Term) ast.String {
	key, _ := pair[0].Value.(ast.String)
	return key
}
