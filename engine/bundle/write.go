package bundle

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Write packs files and, unless it is nil, the text of their signatures: a bundle that OPA and [Read] take. The same files
// give the same bytes, in whichever order they come. OPA's own writer takes parsed bundles only, of which it writes the data
// anew; here the bytes are those that were signed.
func Write(out io.Writer, files []File, signatures []byte) error {
	all := slices.Clone(files)
	if signatures != nil {
		all = append(all, File{SignaturesName, signatures})
	}
	slices.SortFunc(all, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	gz := gzip.NewWriter(out)
	w := tar.NewWriter(gz)
	for _, f := range all {
		// No times and no owners, which would differ between two machines.
		const readable = 0o644
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Size: int64(len(f.Content)), Mode: readable})
		if err == nil {
			_, err = w.Write(f.Content)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return errors.Join(w.Close(), gz.Close())
}
