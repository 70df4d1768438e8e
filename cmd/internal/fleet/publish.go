package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/record"
)

// Draft is what is to be published.
type Draft struct {
	After   Now // what the channel says, from [Link.Now]; the draft is refused if it says something else by then
	Files   Files
	By      string
	Message string
	Expires time.Time // zero: never
	Agents  int       // how many agents there are, as far as is known
	Dry     bool      // send nothing: [Published] says what would be sent
	Base    Files     // those of [BaseOf] After, where they are at hand; else they are fetched
	Gone    record.Gone

	// Shape alters the record before it is signed: its state, its cohort and plan. It may be nil: then everybody is to serve
	// the target. Its error ends the publication.
	Shape func(*record.Record) error
}

// Published says what [Link.Publish] did.
type Published struct {
	Now     Now // what the channel says now
	Base    record.Release
	Changed []string // the paths that differ from the base
	Delta   int      // its size in bytes
	Inline  bool     // the record's message holds the delta
	Message int      // the size of the record's message
}

// Publish stores the objects of a release and moves the channel to it. Objects come first: who sees the record finds them.
// The base is what serves where no rollout decides: see [record.Record.Settled].
func (l *Link) Publish(ctx context.Context, d Draft, by *Signers) (Published, error) {
	if !by.Can(record.RoleRelease) {
		return Published{}, fmt.Errorf("the key has the role %s: a key with the role %s was expected", record.RoleStage, record.RoleRelease)
	}
	if d.After.Err != nil {
		return Published{}, fmt.Errorf("what the channel %s says is not trusted: %w", d.After.Channel, d.After.Err)
	}
	base := d.Base
	var p Published
	p.Base = BaseOf(d.After.Record())
	switch {
	case p.Base.Revision == "" || p.Base.Revision == d.Files.Revision:
		base = Files{}
	case base.Revision != p.Base.Revision:
		var err error
		if base, err = l.Fetch(ctx, p.Base); err != nil {
			if ctx.Err() != nil {
				return p, err
			}
			base = Files{} // agents fetch the snapshot
		}
	}
	target, err := l.upload(ctx, d.Files, d.Dry)
	if err != nil {
		return p, err
	}
	target.Gone = d.Gone
	r := &record.Record{
		State: record.Active, Target: target, Base: p.Base, Cohort: record.Everybody(), Chain: chain(d.After.Record()),
		Agents: d.Agents, Expires: d.Expires, By: d.By, Message: d.Message,
	}
	var inline []byte
	if base.Revision != "" {
		p.Changed = d.Files.Set.Since(base.Set).Paths()
		if inline, p.Delta, err = l.change(ctx, base, d.Files, d.Dry); err != nil {
			return p, err
		}
	} else if p.Base.Revision != d.Files.Revision {
		p.Changed = d.Files.Set.Since(delta.Set{}).Paths()
	}
	if d.Shape != nil {
		if err := d.Shape(r); err != nil {
			return p, err
		}
	}
	if r.Plan != nil { // whoever moves it on may have a stage key only
		if r.Releases, err = releases(d.After, target, p.Base, by, l.clock()); err != nil {
			return p, err
		}
	}
	p.Inline = inline != nil
	if d.Dry {
		p.Now, err = l.draft(d.After, r, inline, by.Note()...)
	} else {
		p.Now, err = l.Move(ctx, d.After, r, inline, by.Note()...)
	}
	p.Message = len(p.Now.Message)
	return p, err
}

// BaseOf is the release that the next one begins from; the zero value if there is none.
func BaseOf(r *record.Record) record.Release {
	if r == nil {
		return record.Release{}
	}
	return r.Settled()
}

// chain is the one of the record after r.
func chain(r *record.Record) []string {
	if r == nil {
		return nil
	}
	before := r.Chain
	if r.Settled().Revision == r.Target.Revision {
		before = append([]string{r.Target.Revision}, before...)
	}
	return slices.Clone(before[:min(len(before), record.MaxChain)])
}

// releases are notes of a release key for the target and the base: with them, a stage key can move the channel between the two. They are 600
// bytes of a message that each agent gets, so only rollouts have them.
func releases(after Now, target, base record.Release, by *Signers, now time.Time) ([]string, error) {
	var notes []string
	for i, one := range []record.Release{target, base} {
		if one.Revision == "" || i > 0 && base.Equal(target) {
			continue
		}
		signed, err := record.SealRelease(after.Channel, one, now, by.Note()...)
		if err != nil {
			return nil, err
		}
		notes = append(notes, signed)
	}
	return notes, nil
}
