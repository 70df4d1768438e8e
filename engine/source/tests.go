package source

import (
	"context"
	"errors"
	"io/fs"
)

// ErrMoved is wrapped when a source does not hold any more what was read of it.
var ErrMoved = errors.New("the files have changed meanwhile")

// ReadTests reads the *_test.rego files that lay in src while it held the files of of: both are of one moment. If src holds
// other files than those by now, the error wraps [ErrMoved]. of may be nil: then src cannot change. o.Earlier is for an
// earlier result. Other errors are those of [Read].
func ReadTests(ctx context.Context, src fs.FS, o Options, of *Reading) (*Reading, error) {
	o.only = []Kind{KindTest}
	tests, err := Read(ctx, src, o)
	if err != nil || of == nil {
		return tests, err
	}
	// What has the same stats now as when of was read was the same all the time, also while the tests were read.
	policy := Options{Limits: o.Limits, Between: o.Between}
	now, err := look(ctx, src, policy, policy.kinds())
	if err != nil {
		return nil, err
	}
	if (&Reading{root: of.root, files: of.files}).sameLook(&Reading{root: now.root, files: now.files}) {
		return tests, nil
	}
	// Somebody may have touched a file and not changed it.
	policy.Earlier = Earlier{Reading: of, Previous: of}
	if now, err = Read(ctx, src, policy); err != nil {
		return nil, err
	}
	if now.root != of.root || !now.SameContent(of) {
		return nil, ErrMoved
	}
	return tests, nil
}
