// Package streams makes what a fleet needs in NATS JetStream: the bucket of records and the streams of objects and of
// acknowledgements. docs/reference/fleet.md says what each is for.
package streams

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
)

// Options are for [Create].
type Options struct {
	Replicas int // 1, 3 or 5; 0: 1
}

// history is how many records of a channel are kept, which is as many as a bucket can.
const history = 64

// ackAge is for how long an agent that is silent is remembered.
const ackAge = 7 * 24 * time.Hour

// Made tells what [Create] did with a bucket or stream.
type Made struct {
	Name    string
	Existed bool     // it was there already
	Changed []string // what it lacked of what a fleet needs, and has now; a clause each
}

// Create makes what is not there. What is there stays as it is, but for what a fleet cannot do without: an older version of
// this program made it without that.
func Create(ctx context.Context, js jetstream.JetStream, o Options) (all []Made, err error) {
	o.Replicas = max(o.Replicas, 1)
	for _, one := range []struct {
		name   string
		create func() error
		needs  jetstream.StreamConfig
	}{
		{record.Stream, func() error {
			_, err := js.CreateKeyValue(ctx, bucket(o))
			return err
		}, jetstream.StreamConfig{AllowDirect: true, RePublish: bucket(o).RePublish}},
		{record.Objects, func() error {
			_, err := js.CreateStream(ctx, objects(o))
			return err
		}, objects(o)},
		{record.Acks, func() error {
			_, err := js.CreateStream(ctx, acks(o))
			return err
		}, acks(o)},
	} {
		made := Made{Name: one.name}
		s, err := js.Stream(ctx, one.name)
		switch made.Existed = err == nil; {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			err = one.create()
		case err == nil:
			made.Changed, err = mend(ctx, js, s.CachedInfo().Config, one.needs)
		}
		if err != nil {
			return all, fmt.Errorf("stream %s: %w", one.name, err)
		}
		all = append(all, made)
	}
	return all, nil
}

// mend gives a stream what it lacks, and nothing else.
func mend(ctx context.Context, js jetstream.JetStream, has, needs jetstream.StreamConfig) (changed []string, err error) {
	for _, subject := range needs.Subjects {
		if !slices.Contains(has.Subjects, subject) {
			has.Subjects = append(has.Subjects, subject)
			changed = append(changed, "the subject "+subject)
		}
	}
	if needs.AllowDirect && !has.AllowDirect {
		has.AllowDirect = true
		changed = append(changed, "direct gets")
	}
	if needs.RePublish != nil && (has.RePublish == nil || *has.RePublish != *needs.RePublish) {
		has.RePublish = needs.RePublish
		changed = append(changed, "the republication of "+needs.RePublish.Source+" as "+needs.RePublish.Destination)
	}
	if len(changed) == 0 {
		return nil, nil
	}
	const patience = 5 * time.Second // what is not permitted is not answered
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := js.UpdateStream(ctx, has); err != nil {
		return nil, fmt.Errorf("it lacks %s, and cannot be changed: %w; this needs the permission to publish $JS.API.STREAM.UPDATE.%s, or nats stream edit by somebody who has it",
			strings.Join(changed, ", "), err, has.Name)
	}
	return changed, nil
}

func bucket(o Options) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket: record.Bucket, Description: "what each channel of policy is to serve",
		History: history, Storage: jetstream.FileStorage, Replicas: o.Replicas,
		// So an agent needs one core subscription, and no consumer, of which a stream has a thousand at most.
		RePublish: &jetstream.RePublish{Source: record.Subject(">"), Destination: record.AnnounceSubject(">")},
	}
}

func objects(o Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: record.Objects, Description: "snapshots and deltas of policy", Subjects: []string{record.ObjectSubjects},
		Storage: jetstream.FileStorage, Replicas: o.Replicas, MaxMsgsPerSubject: 1, AllowDirect: true,
	}
}

func acks(o Options) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name: record.Acks, Description: "what each agent serves", Subjects: []string{record.AckSubject("*", "*"), record.ControllerSubject("*")},
		Storage: jetstream.FileStorage, Replicas: o.Replicas, MaxMsgsPerSubject: 1, AllowDirect: true, MaxAge: ackAge,
	}
	if o.Replicas == 1 {
		// A heartbeat repeats the acknowledgement that a crash of the server loses; waiting for the disk for each of a thousand
		// takes a second. Streams with replicas have no such choice.
		cfg.PersistMode = jetstream.AsyncPersistMode
	}
	return cfg
}
