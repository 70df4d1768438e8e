package signed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"defenseclaw/cmd/internal/private"
)

const maxKeyBytes = 4 << 20

// trustedFile reads a file with keys. One in the policy directory, or that others can write, says nothing about whom the
// operator trusts.
func trustedFile(file, policyDir string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, err
	}
	if dir, err := filepath.EvalSymlinks(policyDir); err == nil && policyDir != "" && within(dir, real) {
		return nil, fmt.Errorf("%s lies in the policy directory: who edits the policy must not choose the keys", file)
	}
	if err := errors.Join(private.Check(real), private.Check(filepath.Dir(real))); err != nil {
		return nil, err
	}
	info, err := os.Stat(real)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", file)
	}
	if err != nil {
		return nil, err
	}
	in, err := os.Open(real) //nolint:gosec // the operator's own
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	content, err := io.ReadAll(io.LimitReader(in, maxKeyBytes+1))
	if err == nil && len(content) > maxKeyBytes {
		err = fmt.Errorf("%s has more than %d bytes", file, maxKeyBytes)
	}
	return content, err
}

func within(dir, file string) bool {
	dir, err1 := filepath.Abs(dir)
	file, err2 := filepath.Abs(file)
	rel, err := filepath.Rel(dir, file)
	return errors.Join(err, err1, err2) == nil && filepath.IsLocal(rel)
}
