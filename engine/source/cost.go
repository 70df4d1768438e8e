package source

import (
	"bytes"
	"fmt"
	"math"
	"path"

	"defenseclaw/engine/diagnostic"
)

// What content takes in memory at the peak of a load, in bytes, measured with texts of one kind of value. A text says
// little by its size: a megabyte of data takes 3 MB as one string, and 60 MB as empty arrays.
//
// An estimate that is too low lets a directory end the process, and one that is too high refuses a policy that fits. The
// numbers are those of the worst kind of value that people write, and above what ordinary files take: 5,000 modules of
// 6 MB take 900 MB.
const (
	regoByteCost  = 150 // with its syntax, its compiled form and what the compiler needs
	dataByteCost  = 3   // with the text, which is kept
	jsonValueCost = 60
	jsonMapCost   = 350
	yamlValueCost = 250 // decoded to Go's values first
)

// leastCost is what size bytes of a file take at least. It needs only the stat, so files that cannot be loaded are
// refused before memory is taken for the first of them.
func leastCost(k Kind, size int64) int64 {
	size = min(size, math.MaxInt64/1000) // a file system may say what it likes
	if k == KindModule || k == KindTest {
		return size * regoByteCost
	}
	return size * dataByteCost
}

// contentCost is what the content of a file takes. The characters that separate values bound their number without
// parsing; those within strings are counted too.
//
// It is computed once for a file's bytes: a File that a later reading takes over keeps it (see File.cost), because counting
// in 100 MB of data takes longer than an edit may.
func contentCost(f *File) int64 {
	cost := leastCost(f.kind, int64(len(f.Bytes)))
	if f.kind == KindModule || f.kind == KindTest {
		return cost
	}
	count := func(c string) int64 { return int64(bytes.Count(f.Bytes, []byte(c))) }
	if path.Ext(f.Path) == ".json" {
		return cost + jsonValueCost*(count(",")+count("[")) + jsonMapCost*count("{")
	}
	return cost + yamlValueCost*(count(",")+count("[")+count("{")+count("\n"))
}

// tooLargeTogether is the diagnostic of the file at p, with which the files of the directory pass the limit.
func tooLargeTogether(p string, limit int64) diagnostic.Diagnostic {
	return diagnostic.Diagnostic{
		File: p, Code: diagnostic.CodePolicyTooLarge,
		Message: fmt.Sprintf("takes the policy and data files past the limit: loaded, they would need more than %d bytes of memory together", limit),
	}
}
