// Package plan evaluates a document by a compiled program: OPA's plan of the rules (package ir), made into closures
// over values of our own. It is several times faster than OPA's evaluator, which stays the meaning: whatever a
// program does not show to be the same answer is an error that wraps [ErrAsk], and OPA's evaluator is asked.
//
// [Make] takes the plan through the target that package rego offers to plugins (source.go), and compiles each
// statement (simplify.go, literals.go, compile.go, statements.go, loops.go, paths.go, calls.go). A loop from whose
// elements an equality chooses looks only at those that an index finds (join.go). [Program.Evaluate] runs it on a
// machine that it takes from a pool (machine.go). data.go finds out which parts of the data a program can look at.
// Package value has the values, package own the builtins that need none of OPA's.
//
// # Invariants
//
//  1. A program answers as OPA's evaluator does, or asks it. It evaluates at least what that evaluates, since an
//     error of a builtin must not be lost: it leaves a rule early only where OPA does (early.go).
//  2. A program never changes after it was made. Decisions share it; each has a machine of its own.
//  3. Every loop looks at the deadline and at the arena's budget (machine.tick).
//  4. What a rule gave is used again only for the very input and data that it was given with (calls.go).
//  5. A number that selects a member of an object of the data is left to OPA, whose store finds the member that the
//     number's text names; so is a text that selects an element of an array.
//  6. An iteration is left out only if nothing in it, up to a test that fails, can fail or have an effect (join.go).
package plan
