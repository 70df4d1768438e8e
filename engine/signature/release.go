package signature

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// Config says what a [Release] trusts.
type Config struct {
	Keys  []Key            // at least one, each with a name of its own
	Scope string           // that signatures must have. Required, unless Bundle is set.
	Now   func() time.Time // nil: the clock

	Bundle *BundleConfig // nil: bundles are verified as directories are
}

// BundleConfig says what else OPA's configuration can say about the signature of a bundle.
type BundleConfig struct {
	// Scopes are those that signatures have to have where [Config.Scope] is empty, by the names of the keys. An empty one, or
	// none, means that they have to have none.
	Scopes map[string]string
	// KeyID is the key that has to have signed, whichever the signature names. Empty: it names one.
	KeyID string
	// Exclude are patterns, as those of [filepath.Match], of files that nobody has to have signed.
	Exclude []string
	// Optional takes bundles that have no signature at all.
	Optional bool
}

// Release verifies directories by their file of signatures. Safe for concurrent use.
type Release struct {
	keys  map[string]Key
	scope string
	now   func() time.Time

	bundle BundleConfig

	mu   sync.Mutex
	last map[string]compared // what was found to be as listed last, by path
}

// compared is a file that had the listed hash. A File never changes, so it has it still.
type compared struct {
	file   *source.File
	listed bundle.FileInfo
}

// NewRelease makes a Release.
func NewRelease(cfg Config) (*Release, error) {
	if cfg.Scope == "" && cfg.Bundle == nil {
		return nil, errors.New("a scope is required: the same key may sign for other purposes")
	}
	r := &Release{keys: map[string]Key{}, scope: cfg.Scope, now: cfg.Now}
	if r.now == nil {
		r.now = time.Now
	}
	if cfg.Bundle != nil {
		r.bundle = *cfg.Bundle
	}
	for _, k := range cfg.Keys {
		if _, twice := r.keys[k.ID]; twice {
			return nil, fmt.Errorf("two keys are called %q", k.ID)
		}
		r.keys[k.ID] = k
	}
	if len(r.keys) == 0 {
		return nil, errors.New("a key is required")
	}
	if _, known := r.keys[r.bundle.KeyID]; r.bundle.KeyID != "" && !known {
		return nil, fmt.Errorf("the key %q is not among the keys", r.bundle.KeyID)
	}
	for _, pattern := range r.bundle.Exclude {
		if _, err := filepath.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("the pattern %q: %w", pattern, err)
		}
	}
	return r, nil
}

// scopeOf is the scope that a signature of a key has to have.
func (r *Release) scopeOf(id string) string {
	if r.scope == "" {
		return r.bundle.Scopes[id]
	}
	return r.scope
}

// Optional reports whether bundles are taken that nobody signed.
func (r *Release) Optional() bool { return r.bundle.Optional }

// excluded reports whether nobody has to have signed a file.
func (r *Release) excluded(name string) bool {
	return slices.ContainsFunc(r.bundle.Exclude, func(pattern string) bool {
		match, _ := filepath.Match(pattern, name) // NewRelease says what is wrong with it
		return match
	})
}

// Trusts reports whether a key of that fingerprint is one of r's.
func (r *Release) Trusts(fingerprint string) bool {
	for _, k := range r.keys {
		if k.Fingerprint == fingerprint {
			return true
		}
	}
	return false
}

// Verify is an [engine.Verify]. After an edit, it hashes the files that changed.
func (r *Release) Verify(ctx context.Context, src fs.FS, reading *source.Reading) (engine.Verified, error) {
	for _, p := range reading.Signatures() {
		if p != source.SignaturesName {
			return engine.Verified{}, about(p, diagnostic.CodeSignatureInvalid, "it is a second file of signatures; one was expected, in the root of the directory")
		}
	}
	content, err := readSignatures(src)
	if err != nil {
		return engine.Verified{}, err
	}
	found, err := r.verifyToken(content)
	if err != nil {
		return engine.Verified{}, about(source.SignaturesName, diagnostic.CodeSignatureInvalid, err.Error())
	}
	if err := r.compare(ctx, reading, found.files); err != nil {
		return engine.Verified{}, err
	}
	return engine.Verified{By: found.key.ID, Fingerprint: found.key.Fingerprint}, nil
}

func about(file, code, message string) diagnostic.List {
	return diagnostic.List{{File: file, Code: code, Message: message}}
}

// maxSignatureBytes is more than a signature of as many files as a directory may hold.
const maxSignatureBytes = 64 << 20

func readSignatures(src fs.FS) ([]byte, error) {
	in, err := src.Open(source.SignaturesName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, about(source.SignaturesName, diagnostic.CodeSignatureMissing, "there is none: policy sign makes it")
	case source.OutOfDescriptors(err):
		return nil, err
	case err != nil:
		return nil, about(source.SignaturesName, diagnostic.CodeSignatureMissing, "cannot be read: "+causeOf(err).Error())
	}
	defer in.Close() //nolint:errcheck // it was only read
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a regular file")
	}
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(in, maxSignatureBytes+1))
	}
	if err == nil && len(content) > maxSignatureBytes {
		err = fmt.Errorf("is larger than %d bytes", maxSignatureBytes)
	}
	if err != nil {
		return nil, about(source.SignaturesName, diagnostic.CodeSignatureInvalid, "cannot be read: "+causeOf(err).Error())
	}
	return content, nil
}

// causeOf leaves out the path that errors of files carry: diagnostics have it.
func causeOf(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// maxProblems bounds the diagnostics: a directory that somebody else signed has one for each file.
const maxProblems = 100

// compare finds files that are not as they are listed, in both directions.
func (r *Release) compare(ctx context.Context, reading *source.Reading, signed map[string]bundle.FileInfo) error {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	now := make(map[string]compared, len(reading.Files())+len(reading.Tests()))
	left := maps.Clone(signed)
	var wrong diagnostic.List
	for _, f := range slices.Concat(reading.Files(), reading.Tests()) {
		info := signed[f.Path]
		is := compared{f, info}
		if before, ok := last[f.Path]; !ok || before != is {
			if err := turns.Next(ctx); err != nil {
				return err
			}
			if d, bad := compareFile(f.Path, *bytes.NewBuffer(f.Bytes), left); bad {
				wrong = append(wrong, d)
				continue
			}
		}
		delete(left, f.Path)
		now[f.Path] = is
	}
	wrong = append(wrong, gone(left, now, reading)...)
	if len(wrong) == 0 {
		r.mu.Lock()
		r.last = now
		r.mu.Unlock()
		return nil
	}
	return bounded(wrong)
}

func bounded(wrong diagnostic.List) diagnostic.List {
	wrong = wrong.Sorted()
	if more := len(wrong) - maxProblems; more > 0 {
		wrong = append(wrong[:maxProblems:maxProblems], diagnostic.Diagnostic{
			File: source.SignaturesName, Code: diagnostic.CodeSignatureInvalid, Message: fmt.Sprintf("%d more files are not as they were signed", more),
		})
	}
	return wrong
}

// compareFile compares one file by OPA's function, which takes it off the list.
func compareFile(name string, content bytes.Buffer, list map[string]bundle.FileInfo) (_ diagnostic.Diagnostic, wrong bool) {
	d := diagnostic.Diagnostic{File: name, Code: diagnostic.CodeFileAltered}
	defer delete(list, name) // it is there
	switch info := list[name]; info.Algorithm {
	case "":
		d.Code, d.Message = diagnostic.CodeFileNotSigned, "the signature does not list it"
		return d, true
	case string(bundle.MD5), string(bundle.SHA1):
		d.Message = fmt.Sprintf("the signature has its hash by %s, which can be forged; SHA-256 was expected", info.Algorithm)
		return d, true
	}
	if err := bundle.VerifyBundleFile(name, content, list); err != nil {
		d.Message = "it is not what was signed"
		return d, true
	}
	return d, false
}

// gone are files that were signed, would be loaded, and are not there. A module that serves under another name, too, is
// not missed: links give one file two names, and the engine loads one.
func gone(left map[string]bundle.FileInfo, there map[string]compared, reading *source.Reading) diagnostic.List {
	var served map[string]bool
	var wrong diagnostic.List
	for name, info := range left {
		if !reading.Takes(name) {
			continue
		}
		if served == nil {
			served = make(map[string]bool, len(there))
			for _, c := range there {
				served[c.listed.Algorithm+c.listed.Hash] = true
			}
		}
		if strings.HasSuffix(name, bundle.RegoExt) && served[info.Algorithm+info.Hash] {
			continue
		}
		wrong = append(wrong, diagnostic.Diagnostic{File: name, Code: diagnostic.CodeSignedFileGone, Message: "it was signed, and is not there"})
	}
	return wrong
}
