// Package unit knows which Rego packages can see which others, from parsed modules alone. It
// compiles nothing and changes nothing: a Graph is a value, and an edit makes another one.
//
// It errs on one side only. Where the source does not say exactly what a reference reaches (a
// variable in it, a name that may be local), the answer holds everything that it could be.
package unit
