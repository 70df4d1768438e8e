package child

import (
	"context"
	"fmt"

	"defenseclaw/engine/source"
)

// maxPutBytes bounds the files of one message, so that a large policy needs little memory on its way.
const maxPutBytes = 8 << 20

// File is a policy or data file on its way to a process.
type File struct {
	Path  string
	Bytes []byte
}

// Files are files of the next policy. Those given before are forgotten if they begin it.
type Files struct {
	Begin bool
	Files []File
}

// Loading is what a process is to load: the files that it was given, and those of the policy From
// without the Removed.
type Loading struct {
	Call     uint64 // see [Process.Call]
	Kind     string // of content, where a process holds several
	ID       uint64 // by which both sides name it
	From     uint64 // what the process holds; 0: nothing
	Revision string // of what the process must get
	Removed  []string
	Keep     []uint64 // what the process goes on holding
}

// Content is what is given: an *engine.Generation, for example.
type Content interface {
	Revision() string
	Files() []*source.File
}

// Gift says how content is given. From, which may be nil, is what the process holds as FromID.
type Gift struct {
	Kind       string // see [Loading]
	ID, FromID uint64
	From       Content
	Keep       []uint64
	Begin      func() // if not nil, called when it begins: what [Process.Call] was asked for before has ended
}

// Give gives the process what g has and gift.From has not, and waits until it has loaded that. When ctx ends, so does
// the load. Nothing else may be given meanwhile.
func (p *Process) Give(ctx context.Context, g Content, gift Gift) error {
	load := Loading{Kind: gift.Kind, ID: gift.ID, From: gift.FromID, Revision: g.Revision(), Keep: gift.Keep}
	var before []*source.File
	if gift.From != nil {
		before = gift.From.Files()
	}
	files, size := Files{Begin: true}, 0
	put := func() error {
		batch := files // the call may begin after it was given up here
		err := p.Call(ctx, methodPut, func(uint64) any {
			if batch.Begin && gift.Begin != nil {
				gift.Begin()
			}
			return batch
		}, new(bool))
		files, size = Files{}, 0
		return err
	}
	var err error
	source.EachPair(before, g.Files(), func(f *source.File) string { return f.Path }, func(old, now *source.File) {
		switch {
		case err != nil || old == now:
		case now == nil:
			load.Removed = append(load.Removed, old.Path)
		case old == nil || !old.SameContent(now):
			files.Files, size = append(files.Files, File{now.Path, now.Bytes}), size+len(now.Bytes)
			if size >= maxPutBytes {
				err = put()
			}
		}
	})
	if err == nil && (files.Begin || len(files.Files) > 0) {
		err = put()
	}
	if err == nil {
		err = p.Call(ctx, methodLoad, func(call uint64) any { load.Call = call; return load }, new(bool))
	}
	if err != nil {
		return fmt.Errorf("load the policy in another process: %w", err)
	}
	return nil
}
