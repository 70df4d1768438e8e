package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
)

// Head is the newest record of a chain: whoever notes it elsewhere can later ask [Log.Verify]
// whether the chain still holds it.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// row is a record as it lies in the table.
type row struct {
	seq        int64
	prev, hash string
	values     values
}

// The first bytes of what is hashed keep a hash of one kind from being taken for another.
const (
	domainRecord  = "defenseclaw audit record 1\n"
	domainGenesis = "defenseclaw audit chain 1\n"
	domainLists   = "defenseclaw audit lists 1\n"
)

// genesis is the hash before the first record: different for every chain, so that no record of one
// fits into another.
func genesis(id, startedAt string) string {
	b := appendValue([]byte(domainGenesis), id)
	return digest(string(appendValue(b, startedAt)))
}

// chainHash is the hash of a row that stands at seq after the row of hash prev.
func chainHash(prev string, seq int64, v *values) string {
	return digest(string(encodeRow(make([]byte, 0, 512), prev, seq, v)))
}

// encodeRow appends the canonical encoding: no two rows that differ in a byte, a type, their place
// or their predecessor have the same.
func encodeRow(b []byte, prev string, seq int64, v *values) []byte {
	b = append(b, domainRecord...)
	b = appendValue(b, prev)
	b = appendValue(b, seq)
	for _, c := range v.columns() {
		b = appendValue(b, *c.value)
	}
	return b
}

// The types of SQLite, as an encoding names them.
const (
	typeNull  = 0
	typeText  = 1
	typeInt   = 2
	typeFloat = 3
	typeBlob  = 4
	typeOther = 5
)

// appendValue appends the type of v and then its value: its length and bytes, or eight bytes.
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
		return binary.BigEndian.AppendUint64(append(b, typeInt), uint64(v)) // its bits
	case float64:
		return binary.BigEndian.AppendUint64(append(b, typeFloat), math.Float64bits(v))
	default: // the driver gives no other
		s := fmt.Sprintf("%T %v", v, v)
		b = binary.AppendUvarint(append(b, typeOther), uint64(len(s)))
		return append(b, s...)
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
