// Package own has builtins that compute with the values of programs, without OPA's.
package own

import "defenseclaw/engine/internal/eval/plan/value"

// Builtin returns nil for operands that it does not take: OPA's builtin is called then, and decides.
type Builtin func(a *value.Arena, x []*value.Node) *value.Node

// Builtins are by the names of OPA's.
var Builtins = map[string]Builtin{}
