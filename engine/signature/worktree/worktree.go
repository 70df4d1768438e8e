package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/source"

	"github.com/go-git/go-git/v5/plumbing"
)

// Config says what a [Worktree] asks for.
type Config struct {
	Dir     string // the policy directory. Required.
	Tag     bool   // an annotated tag of HEAD's commit has to be signed, instead of the commit
	Signers Signers

	// Newest returns the commit that served last, and when it was made: its ancestors are refused. An empty name refuses
	// none. Nil: nothing is refused for its age.
	Newest func() (commit string, made time.Time)
}

// Worktree verifies a directory by the commit that is checked out. Safe for concurrent use.
type Worktree struct {
	cfg Config

	mu   sync.Mutex
	last *verified // what was found last
}

// verified is a commit that was found to be signed, and what it holds. It does not change.
type verified struct {
	head   plumbing.Hash
	by     engine.Verified
	commit commit
	files  map[string]entry

	same map[string]*source.File // that were found to be as in the commit
}

// New makes a Worktree. The directory need not be there yet.
func New(cfg Config) (*Worktree, error) {
	if cfg.Dir == "" {
		return nil, errors.New("worktree: Config.Dir is required")
	}
	return &Worktree{cfg: cfg}, nil
}

// Trusts reports whether a key of that fingerprint is trusted.
func (w *Worktree) Trusts(fingerprint string) bool { return w.cfg.Signers.Trusts(fingerprint) }

// Verify is an [engine.Verify]. After an edit, it hashes the files that changed; objects are read when HEAD has moved.
func (w *Worktree) Verify(ctx context.Context, _ fs.FS, reading *source.Reading) (engine.Verified, error) {
	r, err := openRepository(w.cfg.Dir)
	if err != nil {
		return engine.Verified{}, about(diagnostic.CodeSignatureMissing, err)
	}
	head, err := r.head()
	if err != nil {
		return engine.Verified{}, about(diagnostic.CodeSignatureMissing, err)
	}
	w.mu.Lock()
	v := w.last
	w.mu.Unlock()
	if v == nil || v.head != head || w.cfg.Tag { // a tag may be gone
		files := v
		if v, err = w.look(ctx, r, head, files); err != nil {
			return engine.Verified{}, err
		}
	}
	if err := w.newEnough(ctx, r, v); err != nil {
		return engine.Verified{}, err
	}
	same, err := v.compare(ctx, reading)
	if err != nil {
		return engine.Verified{}, err
	}
	next := *v
	next.same = same
	w.mu.Lock()
	w.last = &next
	w.mu.Unlock()
	return v.by, nil
}

// about is a refusal of the commit: no single file is to blame.
func about(code string, err error) error {
	return diagnostic.List{{Code: code, Message: err.Error()}}
}

// look finds out who signed the commit. What an earlier look found of the same commit's files is taken over.
func (w *Worktree) look(ctx context.Context, r *repository, head plumbing.Hash, earlier *verified) (*verified, error) {
	object, c, err := r.commit(head)
	if err != nil {
		return nil, about(diagnostic.CodeSignatureInvalid, err)
	}
	v := &verified{head: head, commit: c}
	var by Signer
	if w.cfg.Tag {
		by, err = w.signedTag(ctx, r, head)
	} else if by, err = w.cfg.Signers.Verify(object.payload, object.signature, c.time); err != nil {
		err = fmt.Errorf("the commit %s %w", short(head), err)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, about(diagnostic.CodeSignatureInvalid, err)
	}
	v.by = engine.Verified{By: by.Name, Fingerprint: by.Fingerprint, Commit: head.String(), CommitTime: c.time}
	if earlier != nil && earlier.head == head {
		v.files, v.same = earlier.files, earlier.same
		return v, nil
	}
	if v.files, err = r.files(ctx, c.tree); err != nil {
		return nil, about(diagnostic.CodeSignatureInvalid, err)
	}
	if earlier != nil { // a file with the hash that it had has it still
		v.same = map[string]*source.File{}
		for p, f := range earlier.same {
			if now, ok := v.files[p]; ok && now == earlier.files[p] {
				v.same[p] = f
			}
		}
	}
	return v, nil
}

const shortDigits = 12

func short(h plumbing.Hash) string { return h.String()[:shortDigits] }

// compare finds files that are not as the commit has them, in both directions, and returns those that are.
func (v *verified) compare(ctx context.Context, reading *source.Reading) (map[string]*source.File, error) {
	same := make(map[string]*source.File, len(reading.Files()))
	var wrong diagnostic.List
	refuse := func(file, code, message string) {
		wrong = append(wrong, diagnostic.Diagnostic{File: file, Code: code, Message: message + " " + short(v.head)})
	}
	for _, list := range [][]*source.File{reading.Files(), reading.Tests()} {
		for _, f := range list {
			e, ok := v.files[f.Path]
			switch {
			case !ok:
				refuse(f.Path, diagnostic.CodeFileNotSigned, "it is not in the commit")
				continue
			case e.link:
				refuse(f.Path, diagnostic.CodeFileAltered, "it is a symbolic link, which does not say what it leads to, in the commit")
				continue
			}
			if v.same[f.Path] != f {
				if err := turns.Next(ctx); err != nil {
					return nil, err
				}
				if plumbing.ComputeHash(plumbing.BlobObject, f.Bytes) != e.hash {
					refuse(f.Path, diagnostic.CodeFileAltered, "it is not what is in the commit")
					continue
				}
			}
			same[f.Path] = f
		}
	}
	for p := range v.files {
		if same[p] == nil && reading.Takes(p) && reading.Find(p) == nil && !isTest(reading, p) {
			refuse(p, diagnostic.CodeSignedFileGone, "it is not there, and is in the commit")
		}
	}
	if len(wrong) == 0 {
		return same, nil
	}
	const maxProblems = 100
	wrong = wrong.Sorted()
	if more := len(wrong) - maxProblems; more > 0 {
		wrong = append(wrong[:maxProblems:maxProblems], diagnostic.Diagnostic{
			Code: diagnostic.CodeSignatureInvalid, Message: fmt.Sprintf("%d more files are not as in the commit %s", more, short(v.head)),
		})
	}
	return nil, wrong
}

func isTest(reading *source.Reading, p string) bool {
	for _, f := range reading.Tests() {
		if f.Path == p {
			return true
		}
	}
	return false
}
