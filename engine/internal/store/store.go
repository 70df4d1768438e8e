// Package store holds the data of one generation as OPA's evaluator reads it: fixed, without locks, and
// without the conversion at each read that OPA's in-memory store makes for plain Go values.
package store

import (
	"context"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/util"
)

// Store is one generation's data. It never changes. Safe for concurrent use.
type Store struct {
	storage.WritesNotSupported
	storage.PolicyNotSupported
	storage.TriggersNotSupported
	root   ast.Object
	leaves func() int
}

// New makes the store of a document, which must not change afterwards.
func New(root ast.Object) *Store {
	return &Store{root: root, leaves: sync.OnceValue(func() int { return Leaves(root) })}
}

// Leaves is [Leaves] of the whole document. The first call counts them.
func (s *Store) Leaves() int { return s.leaves() }

// Leaves counts the values below v that are neither objects nor arrays; an empty one counts as one.
func Leaves(v ast.Value) int {
	n := 0
	switch v := v.(type) {
	case ast.Object:
		v.Foreach(func(_, value *ast.Term) { n += Leaves(value.Value) })
	case *ast.Array:
		v.Foreach(func(value *ast.Term) { n += Leaves(value.Value) })
	default:
		return 1
	}
	return max(n, 1)
}

// Root is the whole document. Not to be changed.
func (s *Store) Root() ast.Object { return s.root }

// Txn is the only transaction there is: nothing can change under a reader.
type Txn struct{}

// ID is [storage.Transaction]'s.
func (Txn) ID() uint64 { return 0 }

var errWrite = &storage.Error{Code: storage.WritesNotSupportedErr, Message: "a generation's data cannot be written"}

// NewTransaction is [storage.Store]'s. A transaction that would write is an error.
func (*Store) NewTransaction(_ context.Context, params ...storage.TransactionParams) (storage.Transaction, error) {
	for _, p := range params {
		if p.Write {
			return nil, errWrite
		}
	}
	return Txn{}, nil
}

// Commit is [storage.Store]'s.
func (*Store) Commit(context.Context, storage.Transaction) error { return nil }

// Abort is [storage.Store]'s.
func (*Store) Abort(context.Context, storage.Transaction) {}

// Truncate is [storage.Store]'s. It is an error.
func (*Store) Truncate(context.Context, storage.Transaction, storage.TransactionParams, storage.Iterator) error {
	return errWrite
}

// Read returns the [ast.Value] at path.
func (s *Store) Read(_ context.Context, _ storage.Transaction, path storage.Path) (any, error) {
	var v ast.Value = s.root
	for _, name := range path {
		v = child(v, name)
		if v == nil {
			return nil, &storage.Error{Code: storage.NotFoundErr, Message: path.String() + ": no such data"}
		}
	}
	return v, nil
}

// Get is [topdown.BaseCache]'s. The store is what the evaluator would cache, so a read needs no path and
// nothing is held twice. nil sends the evaluator to [Store.Read], which answers for the whole document and
// for what is missing.
func (s *Store) Get(ref ast.Ref) ast.Value {
	if len(ref) < 2 {
		return nil
	}
	var v ast.Value = s.root
	for _, part := range ref[1:] {
		switch parent := v.(type) {
		case ast.Object:
			t := parent.Get(part)
			if t == nil {
				return nil
			}
			v = t.Value
		case *ast.Array:
			t := parent.Get(part)
			if t == nil {
				return nil
			}
			v = t.Value
		default:
			return nil
		}
	}
	return v
}

// Put is [topdown.BaseCache]'s. It does nothing: everything is here already.
func (*Store) Put(ast.Ref, ast.Value) {}

// child returns the member of v called name, nil when there is none. An array's members are called by their
// index. A number never names a member of an object, whose keys are strings.
func child(v ast.Value, name string) ast.Value {
	switch v := v.(type) {
	case ast.Object:
		if t := v.Get(ast.InternedTerm(name)); t != nil {
			return t.Value
		}
	case *ast.Array:
		if i, ok := util.Atoi(name); ok && i >= 0 && i < v.Len() { // as OPA's store, to which "1.0" is 1, too
			return v.Elem(i).Value
		}
	}
	return nil
}
