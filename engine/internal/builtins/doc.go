// Package builtins makes OPA's builtin functions safe to call with operands that a caller chose. OPA keeps
// them in one table for the process; [Install] replaces entries of that table:
//
//   - A builtin does no I/O. What would fetch or read is refused ([refused], schema.go). The exception is the
//     operating system's time zone database, which the time builtins read by the name of a zone.
//   - A builtin returns an error instead of crossing a limit below: before it starts where the operands tell,
//     while it runs where it is ours. The error is a builtin error that names the builtin and the limit.
//   - What a builtin caches is a function of the whole key and of nothing else, so no caller, and no earlier
//     generation, can change what another one gets. The caches are therefore shared by all generations.
//
// A builtin that only reads the top of its operands, in linear time, stays as OPA registers it ([asOPA]).
package builtins

import "defenseclaw/engine/internal/jsonast"

// The limits. They are well above what policies use, and low enough that the largest operand stays within
// 1 GiB of memory and a few seconds; TestHostileOperandsNeitherCrashNorHang holds them to it.
const (
	// MaxDepth bounds the nesting of operands and of what builtins parse: 10,000 levels, as encoding/json has.
	MaxDepth = 10_000
	// MaxValues bounds the values in an operand that a builtin converts or copies, shared parts counted each time.
	MaxValues = 1 << 20
	// MaxBytes bounds the text that a builtin reads or makes.
	MaxBytes = 16 << 20
	// MaxDigits bounds the decimal digits of a number as it would be written without an exponent.
	MaxDigits = jsonast.MaxDigits
	// MaxItems bounds the items of a collection that a builtin makes.
	MaxItems = 1 << 22
	// MaxPattern bounds the bytes of a pattern, a template, a key or a source text that a builtin compiles.
	MaxPattern = 64 << 10
	// MaxSteps bounds what a builtin does that cannot be interrupted: comparisons of a byte with a part of a
	// pattern, of an item with an item.
	MaxSteps = 1 << 28
	// MaxSchemaSteps bounds how often a JSON schema's parts are applied to parts of a document.
	MaxSchemaSteps = 250_000
)
