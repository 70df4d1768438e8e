package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// Fingerprint is a hash of the paths, sizes and times of the files of src that [Read] would read. It opens none of
// them, so it is safe to ask about files that must not be read. Files with the same fingerprint are the same, but
// for a writer who restores size and time.
func Fingerprint(ctx context.Context, src fs.FS, o Options) (string, error) {
	r, err := look(ctx, src, o, o.kinds())
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, f := range r.files {
		// The change time is left out: a copy of the directory that a new container gets has another one.
		fmt.Fprintf(h, "%q %d %d\n", f.Path, f.info.Size(), f.info.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
