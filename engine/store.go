package engine

import (
	"context"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// store is one generation's data as OPA's evaluator reads it: fixed, without locks, and without a
// conversion at each read, which inmem makes for stores of plain Go values.
type store struct {
	storage.WritesNotSupported
	storage.PolicyNotSupported
	storage.TriggersNotSupported
	root ast.Object
}

// transaction is the only one there is: nothing can change under a reader.
type transaction struct{}

func (transaction) ID() uint64 { return 0 }

func (*store) NewTransaction(_ context.Context, params ...storage.TransactionParams) (storage.Transaction, error) {
	for _, p := range params {
		if p.Write {
			return nil, &storage.Error{Code: storage.WritesNotSupportedErr, Message: "a generation's data cannot be written"}
		}
	}
	return transaction{}, nil
}

func (*store) Commit(context.Context, storage.Transaction) error { return nil }

func (*store) Abort(context.Context, storage.Transaction) {}

func (*store) Truncate(context.Context, storage.Transaction, storage.TransactionParams, storage.Iterator) error {
	return &storage.Error{Code: storage.WritesNotSupportedErr, Message: "a generation's data cannot be written"}
}

// Read returns the [ast.Value] at path.
func (s *store) Read(_ context.Context, _ storage.Transaction, path storage.Path) (any, error) {
	var v ast.Value = s.root
	for _, name := range path {
		v = child(v, name)
		if v == nil {
			return nil, &storage.Error{Code: storage.NotFoundErr, Message: path.String() + ": no such data"}
		}
	}
	return v, nil
}

// Get is [topdown.BaseCache]'s: the store is what the evaluator would keep of it, so that a read needs
// no path and nothing is kept twice. nil sends the evaluator to [store.Read], which knows the rest: the
// whole document, and what is not there.
func (s *store) Get(ref ast.Ref) ast.Value {
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

// Put is [topdown.BaseCache]'s.
func (*store) Put(ast.Ref, ast.Value) {}

// child returns the member of v that is called name, nil when there is none. Names of array
// elements are their index; a number never names an object's member, whose keys are strings.
func child(v ast.Value, name string) ast.Value {
	switch v := v.(type) {
	case ast.Object:
		if t := v.Get(ast.InternedTerm(name)); t != nil {
			return t.Value
		}
	case *ast.Array:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < v.Len() {
			return v.Elem(i).Value
		}
	}
	return nil
}
