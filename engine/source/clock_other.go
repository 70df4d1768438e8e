//go:build !linux

package source

import "io/fs"

// deviceOf is not read here: change times are not, so that no stat is fine.
func deviceOf(fs.FileInfo) uint64 { return 0 }

// FineDevice makes a Dir a [Ticking] that has none.
func (d *Dir) FineDevice() uint64 { return 0 }
