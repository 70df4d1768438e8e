package recorder

import (
	"encoding/json"
	"hash/maphash"

	"defenseclaw/api/internal/decision"

	"github.com/open-policy-agent/opa/v1/ast"
)

var seed = maphash.MakeSeed()

// mix spreads the bits of a hash, and makes order count.
func mix(h, next uint64) uint64 {
	h = (h ^ next) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

// maxHashed bounds the text and the values of a result that are hashed. Longer ones that begin and end alike are of one kind.
const (
	maxHashed       = 256
	maxHashedValues = 100
)

// hashes are those of the path, and of path and result. Neither is 0. The generation is a part: what a new policy answers is
// recorded afresh.
func (p *Pending) hashes(a decision.Answer) (path, kind uint64) {
	path = p.generation.Number()
	for _, part := range p.path {
		path = mix(path, maphash.String(seed, part))
	}
	var result uint64
	switch {
	case a.Err != nil:
		result = 1
	case !a.Defined:
		result = 2
	case a.Text != nil:
		result = hashBytes(a.Text)
	default:
		left := maxHashedValues
		result = hashValue(a.Result, &left)
	}
	return path | 1, mix(path, result) | 1
}

// hashValue hashes a value of Go's or OPA's types, whatever the order of its members.
func hashValue(v any, left *int) uint64 {
	if *left--; *left < 0 {
		return 0
	}
	switch v := v.(type) {
	case string:
		return hashText(v)
	case json.Number:
		return hashText(string(v))
	case bool:
		if v {
			return 3
		}
		return 4
	case map[string]any:
		sum := uint64(len(v))
		if len(v) > maxHashedValues {
			return sum // which of them are seen would be chance
		}
		for name, value := range v {
			sum += mix(hashText(name), hashValue(value, left))
		}
		return sum
	case []any:
		h := uint64(len(v))
		for _, value := range v {
			h = mix(h, hashValue(value, left))
		}
		return h
	case json.RawMessage:
		return hashBytes(v)
	case ast.Value:
		return uint64(v.Hash())
	}
	return 5
}

func hashBytes(text []byte) uint64 {
	if len(text) <= maxHashed {
		return maphash.Bytes(seed, text)
	}
	const half = maxHashed / 2
	return mix(mix(uint64(len(text)), maphash.Bytes(seed, text[:half])), maphash.Bytes(seed, text[len(text)-half:]))
}

func hashText(text string) uint64 { return maphash.String(seed, text[:min(len(text), maxHashed)]) }
