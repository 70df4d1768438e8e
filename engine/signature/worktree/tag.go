package worktree

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// errEnough ends a walk early.
var errEnough = errors.New("enough")

const maxTags = 10_000

// signedTag looks for an annotated tag of the commit that somebody trusted signed. One is enough: others may be anybody's.
func (w *Worktree) signedTag(ctx context.Context, r *repository, head plumbing.Hash) (Signer, error) {
	refs, err := r.storage.IterReferences()
	if err != nil {
		return Signer{}, fmt.Errorf("list the tags: %w", err)
	}
	defer refs.Close()
	var by Signer
	why := fmt.Errorf("the commit %s has no annotated tag", short(head))
	seen := 0
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if !ref.Name().IsTag() || ref.Type() != plumbing.HashReference || ref.Hash() == head {
			return ctx.Err()
		}
		if seen++; seen > maxTags {
			return fmt.Errorf("the repository has more than %d tags", maxTags)
		}
		raw, err := r.read(plumbing.TagObject, ref.Hash())
		if err != nil {
			return ctx.Err() // a tag of another commit, without an object of its own
		}
		object := splitTag(raw)
		t, err := object.tag()
		switch {
		case err != nil, t.target != head:
			return ctx.Err()
		case t.name != ref.Name().Short():
			why = fmt.Errorf("the tag %s is called %s", ref.Name().Short(), t.name)
			return ctx.Err()
		}
		if by, err = w.cfg.Signers.Verify(object.payload, object.signature, t.time); err != nil {
			why = fmt.Errorf("the tag %s %w", t.name, err)
			return ctx.Err()
		}
		return errEnough
	})
	switch {
	case errors.Is(err, errEnough):
		return by, nil
	case err != nil:
		return Signer{}, err
	}
	return Signer{}, why
}
