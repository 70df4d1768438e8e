package worktree

import (
	"context"
	"errors"
	"fmt"
	"time"

	"defenseclaw/engine/diagnostic"

	"github.com/go-git/go-git/v5/plumbing"
)

// Bounds of the search for an ancestor: the way forward is short, and mostly found at once.
const (
	maxForward = 10_000
	maxBack    = 1_000_000
)

// newEnough refuses a commit that lies before the one that served last. Where the repository does not tell, as a shallow one
// that was cloned anew, the time of the commits does: it is signed, too.
func (w *Worktree) newEnough(ctx context.Context, r *repository, v *verified) error {
	if w.cfg.Newest == nil {
		return nil
	}
	name, made := w.cfg.Newest()
	if name == "" || name == v.head.String() {
		return nil
	}
	served, err := hashOf(name)
	if err != nil {
		return about(diagnostic.CodeCommitOlder, fmt.Errorf("the commit that served last: %w", err))
	}
	older := func(why string) error {
		return about(diagnostic.CodeCommitOlder, fmt.Errorf("the commit %s of %s %s %s, which served: revert by a new commit",
			short(v.head), v.commit.time.Format(time.RFC3339), why, short(served)))
	}
	after, _, err := r.leadsTo(ctx, v.head, served, maxForward)
	if err != nil || after {
		return err
	}
	before, whole, err := r.leadsTo(ctx, served, v.head, maxBack)
	switch {
	case err != nil:
		return err
	case before:
		return older("is an ancestor of")
	case !whole && v.commit.time.Before(made):
		return older("is older than")
	}
	return nil
}

// leadsTo reports whether from has the ancestor. whole is false where commits are missing, or there are too many.
func (r *repository) leadsTo(ctx context.Context, from, ancestor plumbing.Hash, limit int) (found, whole bool, _ error) {
	seen := map[plumbing.Hash]bool{from: true}
	whole = true
	for next := []plumbing.Hash{from}; len(next) > 0; next = next[1:] {
		if err := ctx.Err(); err != nil {
			return false, false, err
		}
		if len(seen) > limit {
			return false, false, nil
		}
		_, c, err := r.commit(next[0])
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			whole = false
			continue
		}
		if err != nil {
			return false, false, about(diagnostic.CodeSignatureInvalid, err)
		}
		for _, parent := range c.parents {
			if parent == ancestor {
				return true, whole, nil
			}
			if !seen[parent] {
				seen[parent] = true
				next = append(next, parent)
			}
		}
	}
	return false, whole, nil
}
