//go:build !unix

package sidecar

import "io/fs"

func ownerOf(fs.FileInfo) string { return "" }

func nameOwner(owner string) string { return owner }
