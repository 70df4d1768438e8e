package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
)

// Head identifies the newest record of a chain. Store it elsewhere and pass it to [Log.Verify] later, to
// find out whether the chain still contains that record.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// row is a row of audit_events.
type row struct {
	seq        int64
	prev, hash string
	values     values
}

// Each kind of hash has its own prefix, so that none can stand for another kind.
const (
	domainRecord  = "defenseclaw audit record 1\n"
	domainGenesis = "defenseclaw audit chain 1\n"
	domainLists   = "defenseclaw audit lists 1\n"
	domainImport  = "defenseclaw audit import 1\n"
)

// genesis is the hash before the first record. It differs between chains, so that a record of one does
// not fit into another.
func genesis(id, startedAt string) string {
	b := appendValue([]byte(domainGenesis), id)
	return digest(string(appendValue(b, startedAt)))
}

// chainHash is the hash of the row at seq whose predecessor has the hash prev.
func chainHash(prev string, seq int64, v *values) string {
	return digest(string(encodeRow(make([]byte, 0, 512), prev, seq, v)))
}

// encodeRow appends the canonical encoding of a row. Rows that differ in a byte, a type, their position
// or their predecessor have different encodings.
func encodeRow(b []byte, prev string, seq int64, v *values) []byte {
	b = append(b, domainRecord...)
	b = appendValue(b, prev)
	b = appendValue(b, seq)
	for _, c := range v.columns() {
		b = appendValue(b, *c.value)
	}
	return b
}

// The type bytes of an encoding, one for each storage class of SQLite.
const (
	typeNull  = 0
	typeText  = 1
	typeInt   = 2
	typeFloat = 3
	typeBlob  = 4
	typeOther = 5
)

// appendValue appends the type of v, then its length and bytes, or the eight bytes of a number.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, typeNull)
	case string:
		b = binary.AppendUvarint(append(b, typeText), uint64(len(v)))
		return append(b, v...)
	case []byte:
		b = binary.AppendUvarint(append(b, typeBlob), uint64(len(v)))
		return append(b, v...)
	case int64:
		return binary.BigEndian.AppendUint64(append(b, typeInt), uint64(v)) // two's complement
	case float64:
		return binary.BigEndian.AppendUint64(append(b, typeFloat), math.Float64bits(v))
	default: // the driver returns no other type
		s := fmt.Sprintf("%T %v", v, v)
		b = binary.AppendUvarint(append(b, typeOther), uint64(len(s)))
		return append(b, s...)
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
