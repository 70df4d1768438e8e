// Package jsonast reads JSON straight into OPA's values, and reuses the values of the text before.
//
// OPA reads a data file in two steps: encoding/json makes maps and slices, and
// ast.InterfaceToValue makes values of them. This package makes the values at once. And where a file
// was edited, most of it is as it was: [Parse] takes the [Document] of the text before and reads only
// what changed, so that saving one value of a large file costs a comparison of two texts, not a
// reading of one. [Value] reads a text that has no text before it, such as the input of a decision.
// [Append] writes values back.
//
// # Invariants
//
//  1. The previous document never changes the result. Parse gives the value, or the error, that it
//     gives without one, and that is what encoding/json and OPA give. Everything below serves this.
//     The fuzz targets FuzzParse and FuzzValueAndAppend and the property
//     TestEditsAreReadAsIfAnew hold it against OPA's own reader.
//  2. Bytes decide what is reused, positions and hashes only suggest it. A JSON value depends on its
//     text alone, so equal text means an equal value wherever it stands. The one exception, the limit
//     of depth, is kept by a bound (maxDepth).
//  3. Text that Parse skips was read before. It was found to be JSON then, and nothing of it is
//     looked at again but to compare it.
//  4. A Document never changes, and neither do the values in it. Documents share terms, so a
//     generation that still serves holds the same terms as its successor.
//  5. The parts of a document are in the order of their texts, each followed by the parts inside it.
//     A stretch of text is therefore a range of parts, and reusing it copies that range.
//  6. A document refers to its own text and terms, and to no document before it. The one before is
//     garbage as soon as nothing serves from it.
//  7. The members kept of an object have no key twice. An object with a repeated key keeps no
//     members, and is read anew each time.
//
// # What is reused
//
// There are two ways, for small and for large containers. A container is an object or an array.
//
// A part is a container of at least 64 bytes of text, down to the fourth level. It is reused whole or
// not at all. It is looked for where it was: as the next among the parts of its level (siblings). One
// that differs is taken for edited in place, and its own parts are compared. A second one that
// differs in a row means that members moved, so it is looked up by the hash of its text.
//
// A container of at least 64 KiB also keeps the list of its members, with the places where their
// texts end. Its successor reuses stretches of them: one comparison of the two texts finds how far
// they agree, and one append takes all members up to there. The work for an object of a million
// members with one edit is the comparison, not a million lookups.
//
// # An example
//
// The first document, with its parts numbered from 0. Whatever is shorter than 64 bytes is no part,
// here the roles and the limits:
//
//	0  {
//	1    "users": {
//	2      "ada": {"name": "Ada Lovelace",  "mail": "ada@example.com", "roles": ["admin"],  "level": 3},
//	3      "bob": {"name": "Bob Bemer",     "mail": "bob@example.com", "roles": ["viewer"], "level": 1},
//	4      "cyd": {"name": "Cyd Charisse",  "mail": "cyd@example.com", "roles": ["editor"], "level": 2}
//	     },
//	     "limits": {"requests": 100, "burst": 20}
//	   }
//
// An edit sets Bob's level to 7. Parse with the first document as previous does this:
//
//	container   candidate   what happens
//	document    0           differs, so it is read; the candidates inside are those in 0: 1
//	"users"     1           differs, so it is read; the candidates inside are those in 1: 2, 3, 4
//	"ada"       2           same text: the term of 2 is reused, nothing in it is read
//	"bob"       3           differs, so it is read; a value whose text changed is a new value
//	"cyd"       4           same text: reused, though it may stand at another offset
//	"limits"    none        read: nothing shorter than a part is recorded
//
// The new document has five parts again. The terms of 2 and 4 are those of the first document, which
// is what keeps a reload small in memory too: a generation before and the one after it differ by the
// path from the root to the edit.
//
// A second edit puts "abe" in front of "ada". The candidate for abe is 2, which differs: abe is read as
// if ada had been edited to it. The candidate for ada is now 3, the second in a row that differs, so
// ada is looked up by its text, found as 2, and reused. Bob meets 3, and Cyd meets 4: both reused. One
// lookup puts the candidates back in step.
//
// If the users were an object of more than 64 KiB, the document would keep the members of both it and
// the root. After the edit of Bob's level, the texts agree from the opening bracket to the middle of
// bob: that one comparison reuses ada, and would reuse a thousand members before her. Bob is read.
// Behind Bob, the next member in order is cyd, and the texts agree to their end: one more comparison
// reuses cyd and all that follow her, and, in the root, the limits.
//
// # Lexing
//
// The reading of strings, numbers and literals (lex.go) can be left to encoding/json/jsontext once
// that is part of the standard library without an experiment.
package jsonast
