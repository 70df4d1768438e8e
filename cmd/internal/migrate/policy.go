package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"defenseclaw/api/domains"
	"defenseclaw/cmd/internal/schema"
	"defenseclaw/engine"
	"defenseclaw/engine/source"
	"defenseclaw/policies"
)

// policy is about the directory that would be served: loaded as a start loads it.
func (c *check) policy() error {
	src, err := c.openPolicy()
	if err != nil {
		c.attention("policy", "a start ends with this error", "%v", err)
		return nil
	}
	if closer, ok := src.(interface{ Close() error }); ok {
		defer closer.Close() //nolint:errcheck // it was only read
	}
	g, err := engine.Load(c.ctx, src, nil)
	if err != nil {
		c.refusedPolicy(err)
	} else {
		c.loadedPolicy(g)
	}
	reading, err := source.Read(c.ctx, src, source.Options{})
	if err == nil { // else the load has said so
		c.ignoredFiles(reading.Ignored())
		c.folders(reading)
	}
	return nil
}

func (c *check) openPolicy() (fs.FS, error) {
	if c.set.PolicyDir == "" {
		return policies.FS(), nil
	}
	return source.Open(c.set.PolicyDir, source.Config{AllowOutside: c.set.OutsideLinks, Overlays: c.set.Overlays})
}

func (c *check) refusedPolicy(err error) {
	const do = "run policy validate for all of it, and correct it: until then no policy serves, and decisions are refused"
	refused := new(engine.Refused)
	if !errors.As(err, &refused) || len(refused.Diagnostics) == 0 {
		c.attention("policy", do, "%s cannot be loaded: %v", c.set.PolicyDir, err)
		return
	}
	first := refused.Diagnostics[0]
	c.attention("policy", do, "%s does not compile here (problems: %d); the first is %s:%d: %s",
		c.set.PolicyDir, len(refused.Diagnostics), first.File, first.Line, first.Message)
}

func (c *check) loadedPolicy(g *engine.Generation) {
	modules, dataFiles := g.Counts()
	if c.set.PolicyDir == "" {
		c.found(Used, "policy", "the embedded default pack: %s", c.set.PolicyWhy)
	} else {
		c.found(Used, "policy", "%s, %s: modules %d, data files %d, revision %s",
			c.set.PolicyDir, c.set.PolicyWhy, modules, dataFiles, g.Revision())
	}
	var missing []string
	for _, domain := range domains.Packages() {
		if !g.HasPackage(domain) {
			missing = append(missing, domain.String())
		}
	}
	if len(missing) > 0 {
		c.attention("policy", "add them, or do not ask for these decisions: they end with an error or a refusal",
			"these packages have no rules: %s", strings.Join(missing, ", "))
	}
	if wrong, err := schema.Check(g); err == nil && len(wrong) > 0 {
		c.attention("policy", "run policy validate for all of it",
			"the data serves, but differs from what the default pack expects (places: %d); the first is %s: %s", len(wrong), wrong[0].File, wrong[0].Message)
	}
}

// ignoredFiles names files that look like policy. Most count for the original as little as here.
func (c *check) ignoredFiles(ignored source.Ignored) {
	byReason := map[string][]string{}
	var reasons []string
	for _, f := range ignored.Files {
		if byReason[f.Reason] == nil {
			reasons = append(reasons, f.Reason)
		}
		byReason[f.Reason] = append(byReason[f.Reason], f.Path)
	}
	for _, reason := range reasons {
		files := byReason[reason]
		if slices.ContainsFunc(files, func(p string) bool { return source.IsOverlayName(path.Base(p)) }) {
			c.attention("policy", "list in engine.overlays what should replace keys of data.json, and move copies elsewhere",
				"%s: %s", strings.Join(files, ", "), reason)
			continue
		}
		c.found(Ignored, "policy", "%s: %s", strings.Join(files, ", "), reason)
	}
}

// folders is about files below the folder that the original reads: it reads one folder.
func (c *check) folders(r *source.Reading) {
	if c.set.PolicyDir == "" {
		return
	}
	counts := map[string]int{}
	for _, f := range r.Files() {
		if dir := path.Dir(f.Rel()); dir != "." {
			counts[dir]++
		}
	}
	if len(counts) == 0 {
		return
	}
	var names []string
	for dir, n := range counts {
		names = append(names, fmt.Sprintf("%s (%d)", dir, n))
	}
	slices.SortFunc(names, cmp.Compare[string])
	c.attention("policy", "move what is a draft or a backup out of the policy directory",
		"files of sub-folders count here, and do not for the original: %s", strings.Join(names, ", "))
}
