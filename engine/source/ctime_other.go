//go:build !linux

package source

import (
	"io/fs"
	"time"
)

// changeTime is not read here. A file whose size, modification time and identity are unchanged counts as
// unchanged until the next full check opens it.
func changeTime(fs.FileInfo) time.Time { return time.Time{} }
