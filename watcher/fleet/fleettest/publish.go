package fleettest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"
)

// Key makes a key, and its line for a file of keys.
func Key(t testing.TB, name string, role record.Role) (note.Signer, string) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(role) + " " + public + "\n"
}

// Revision is one for tests that have no engine.
func Revision(of delta.Set) string {
	h := sha256.New()
	for _, f := range of.Files() {
		fmt.Fprintf(h, "%s %x\n", f.Path, f.Sum)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Release puts the snapshot of files there, and the delta from the base.
func Release(ctx context.Context, js jetstream.JetStream, files, base delta.Set, revision func(delta.Set) string) (r record.Release, packed []byte, err error) {
	r = record.Release{Revision: revision(files), Files: len(files.Files()), Bytes: files.Bytes()}
	snapshot, err := delta.Make(delta.Set{}, files, "", r.Revision)
	if err != nil {
		return r, nil, err
	}
	for len(snapshot) > 0 {
		n := min(len(snapshot), record.ChunkSize)
		if _, err := js.Publish(ctx, record.SnapshotSubject(r.Revision, r.Chunks), snapshot[:n]); err != nil {
			return r, nil, err
		}
		snapshot, r.Chunks = snapshot[n:], r.Chunks+1
	}
	if len(base.Files()) == 0 {
		return r, nil, nil
	}
	if packed, err = delta.Make(base, files, revision(base), r.Revision); err != nil {
		return r, nil, err
	}
	_, err = js.Publish(ctx, record.DeltaSubject(r.Revision, revision(base)), packed)
	return r, packed, err
}

// Move makes the next record of a channel, whatever is there now.
func Move(ctx context.Context, js jetstream.JetStream, r *record.Record, packed []byte, signers ...note.Signer) error {
	kv, err := js.KeyValue(ctx, record.Bucket)
	if err != nil {
		return err
	}
	if r.Epoch == 0 {
		r.Epoch = record.NextEpoch(0, time.Now())
	}
	r.V, r.Time = record.Version, time.Now()
	message, err := record.Seal(r, packed, signers...)
	if err != nil {
		return err
	}
	_, err = kv.Put(ctx, r.Channel, message)
	return err
}
