package bundled

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/bundle"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/signature"
)

// Contents is what is in a bundle, as far as it could be read, and what a sidecar would make of it.
type Contents struct {
	Name      string // as policy would know the bundle if it came from a URL that ends in its file's name
	Bundle    *bundle.Bundle
	All       []bundle.File      // but for the signatures, sorted by path; nil if the archive itself is refused
	Signature *signature.Claimed // what the signature says of itself; nil if there is none, or nothing that is one
	Signed    engine.Verified    // by whom, if anybody was asked for
	Revision  string             // that a sidecar would serve; empty if it would refuse the bundle
	Modules   int                // that it would load
	Refused   error              // why it would refuse the bundle; nil: it would not
	Problems  diagnostic.List    // what is wrong with the policy, if that is why
}

// Inspect reads a bundle as a sidecar does. verify may be nil: then no signature is asked for.
func Inspect(ctx context.Context, file string, archive []byte, limits bundle.Limits, verify func([]byte, []bundle.File) (engine.Verified, error)) Contents {
	c := Contents{Name: NameOf(file)}
	c.Bundle, c.Refused = bundle.Read(ctx, bytes.NewReader(archive), limits, func(signatures []byte, all []bundle.File) (err error) {
		c.All = all
		if signatures != nil {
			claimed, err := signature.Describe(signatures)
			if err != nil && verify == nil {
				return nil // nobody asks for it
			}
			if err == nil {
				c.Signature = &claimed
			}
		}
		if verify != nil {
			c.Signed, err = verify(signatures, all)
		}
		return err
	})
	if c.Refused == nil {
		c.load(ctx)
	}
	errors.As(c.Refused, &c.Problems)
	return c
}

func (c *Contents) load(ctx context.Context) {
	tree, err := bundle.Tree(map[string]*bundle.Bundle{c.Name: c.Bundle})
	if err != nil {
		c.Refused = err
		return
	}
	g, err := engine.Load(ctx, tree, nil)
	if refused := new(engine.Refused); errors.As(err, &refused) && len(refused.Diagnostics) > 0 {
		c.Problems = refused.Diagnostics
	}
	if err != nil {
		c.Refused = err
		return
	}
	c.Revision = g.Revision()
	c.Modules, _ = g.Counts()
}

// NameOf is what policy knows a bundle by, in data.system.bundles: the last part of the file or URL, without what says how it
// is packed.
func NameOf(file string) string {
	name := filepath.Base(file)
	for _, suffix := range []string{".gz", ".tgz", ".tar"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}
