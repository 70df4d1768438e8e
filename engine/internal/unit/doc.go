// Package unit finds out which Rego packages can see which others, from parsed modules alone. It
// compiles nothing and changes nothing: a [Graph] is a value, and an edit makes another one.
//
// Its answers may hold too much, and never too little. Where the source does not say exactly what a
// reference reaches (a variable in it, a name that may be local), the answer holds everything that it
// could be: too much costs a compilation, too little would serve a stale package.
package unit
