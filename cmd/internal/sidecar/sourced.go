package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/events"
	"defenseclaw/engine"
	opabundle "defenseclaw/engine/bundle"
	"defenseclaw/watcher"
	"defenseclaw/watcher/bundle"

	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins/rest"
	"go.uber.org/zap"
)

// makeSource makes what follows the source, if it is no directory.
func (s *Sidecar) makeSource() (err error) {
	set := s.cfg.Settings.Source
	if set.URL == "" {
		return nil
	}
	get, err := s.getBundle()
	if err != nil {
		return fmt.Errorf("source %s: %w", set.URL, err)
	}
	s.keptBundles = keptBundles{dir: s.cfg.Settings.SourceDir(set.URL)}
	name := bundleName(set.URL)
	s.bundles, err = bundle.New(bundle.Config{
		Bundles: map[string]bundle.Get{name: get}, Poll: set.Poll,
		Unpack: s.unpackBundle, Tree: treeOf, Changed: s.reportSource,
	})
	if err != nil {
		return err
	}
	s.adoptBundle(name)
	return nil
}

// bundleName is the last part of a URL without what says how it is packed, as policy knows the bundle in data.system.bundles.
func bundleName(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "bundle"
	}
	name := path.Base(u.Path)
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".tar")
}

// getBundle asks as OPA does.
func (s *Sidecar) getBundle() (bundle.Get, error) {
	set := s.cfg.Settings.Source
	u, err := url.Parse(set.URL)
	if err != nil {
		return nil, err
	}
	config := map[string]any{
		"name": "source", "url": u.Scheme + "://" + u.Host,
		"response_header_timeout_seconds": int64((bundle.DefaultLongPoll + time.Minute).Seconds()),
	}
	if set.Creds != "" {
		config["credentials"] = map[string]any{"bearer": map[string]any{"token_path": set.Creds}}
	}
	if set.CA != "" {
		config["tls"] = map[string]any{"ca_cert": set.CA}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	client, err := rest.New(text, nil, rest.Logger(logging.NewNoOpLogger()))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, header http.Header) (*http.Response, error) {
		one := client // a client without headers makes a map of its own for them
		for name := range header {
			one = one.WithHeader(name, header.Get(name))
		}
		return one.Do(ctx, http.MethodGet, u.RequestURI())
	}, nil
}

// unpackBundle reads a bundle, and keeps it for the next start.
func (s *Sidecar) unpackBundle(ctx context.Context, name, etag string, in io.Reader) (bundle.Unpacked, error) {
	keep, err := s.keptBundles.begin(name, keptBundle{URL: s.cfg.Settings.Source.URL, ETag: etag})
	if err != nil {
		s.cfg.Logger.Warn("the bundle is not kept for the next start", zap.String("bundle", name), zap.Error(err))
	}
	unpacked, err := s.readBundle(ctx, io.TeeReader(in, keep))
	if err != nil {
		keep.drop()
		return nil, err
	}
	if err := keep.end(); err != nil {
		s.cfg.Logger.Warn("the bundle is not kept for the next start", zap.String("bundle", name), zap.Error(err))
	}
	return unpacked, nil
}

// unpackedBundle is a bundle, and who signed it.
type unpackedBundle struct {
	*opabundle.Bundle
	by engine.Verified
}

// readBundle refuses a bundle that is not signed as it has to be, before anything is made of it.
func (s *Sidecar) readBundle(ctx context.Context, in io.Reader) (*unpackedBundle, error) {
	var by engine.Verified
	limits := opabundle.Limits{Files: s.limits().Files}
	b, err := opabundle.Read(ctx, in, limits, func(signatures []byte, files []opabundle.File) (err error) {
		by, err = s.signed.VerifyBundle(signatures, files)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &unpackedBundle{b, by}, nil
}

// signedTree is what bundles hold that were verified when they were read.
type signedTree struct {
	fs.FS
	by engine.Verified
}

// Verified makes it an [engine.VerifiedSource].
func (t signedTree) Verified() engine.Verified { return t.by }

// adoptBundle takes the bundle that an earlier run kept.
func (s *Sidecar) adoptBundle(name string) {
	from, in, err := s.keptBundles.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		defer in.Close() //nolint:errcheck // it was only read
		if from.URL != s.cfg.Settings.Source.URL {
			return
		}
		var unpacked *unpackedBundle
		if unpacked, err = s.readBundle(context.Background(), in); err == nil {
			s.bundles.Adopt(name, from.ETag, unpacked)
			return
		}
	}
	s.cfg.Logger.Warn("the bundle of an earlier run cannot be read, and is fetched anew", zap.String("bundle", name), zap.Error(err))
}

// treeOf makes the policy directory of what [Sidecar.unpackBundle] read.
func treeOf(all map[string]bundle.Unpacked) (fs.FS, error) {
	bundles := map[string]*opabundle.Bundle{}
	var by engine.Verified
	for name, one := range all {
		b, ok := one.(*unpackedBundle)
		if !ok {
			return nil, fmt.Errorf("bundle %s: %T was read", name, one)
		}
		bundles[name], by = b.Bundle, b.by
	}
	tree, err := opabundle.Tree(bundles)
	if err != nil {
		return nil, err
	}
	return signedTree{tree, by}, nil
}

// followSource begins when the first load has ended, which took what was there.
func (s *Sidecar) followSource(ctx context.Context, loaded <-chan struct{}, out chan<- watcher.Change) error {
	if !waitFor(ctx, loaded) {
		return nil
	}
	return s.bundles.Run(ctx, out)
}

// sourceActor names what a change is from; empty for a directory, whose files have owners.
func (s *Sidecar) sourceActor() string {
	if s.bundles == nil {
		return ""
	}
	return "source: " + s.cfg.Settings.Source.URL
}

// firstContact waits until the source has answered once or is slow to: loading what was kept, and then what is new, takes
// twice the time.
func (s *Sidecar) firstContact(ctx context.Context) {
	if s.bundles == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, firstContactTimeout)
	defer cancel()
	_ = s.bundles.Refresh(ctx) // what it came to is in the health, which is reported
}

const firstContactTimeout = 2 * time.Second

// refresh fetches what a reload that somebody asks for is about.
func (s *Sidecar) refresh(ctx context.Context) error {
	if s.bundles == nil {
		return nil
	}
	return s.bundles.Refresh(ctx)
}

// The transitions of the subsystem source.
const (
	transitionFetched     = "fetched"
	transitionNotAnswered = "not-answered" // the last good policy serves on
	transitionRefused     = "refused"      // and fetched again only when it has changed
)

// reportSource publishes and logs how it goes with a bundle.
func (s *Sidecar) reportSource(name string, h bundle.Health) {
	transition, level := transitionFetched, zap.InfoLevel
	switch {
	case h.Error != "":
		transition, level = transitionNotAnswered, zap.WarnLevel
	case h.Refused != "":
		transition, level = transitionRefused, zap.ErrorLevel
	}
	s.events.Publish(events.Event{Subsystem: "source", Transition: transition, Details: map[string]any{
		"bundle": name, "url": s.cfg.Settings.Source.URL, "etag": h.ETag, "error": h.Error, "refused": h.Refused,
	}})
	s.cfg.Logger.Log(level, "source "+transition, zap.String("subsystem", "source"), zap.String("bundle", name),
		zap.String("url", s.cfg.Settings.Source.URL), zap.String("etag", h.ETag), zap.String("error", h.Error), zap.String("refused", h.Refused))
}

// sourceHealth is the source in GET /policy/status; nil for a directory.
func (s *Sidecar) sourceHealth() *api.Source {
	if s.bundles == nil {
		return nil
	}
	status := &api.Source{URL: s.cfg.Settings.Source.URL, Bundles: map[string]api.SourceBundle{}}
	for name, h := range s.bundles.Health() {
		one := api.SourceBundle{
			ETag: h.ETag, Fetched: h.Fetched, Bytes: h.Bytes, Error: h.Error, Refused: h.Refused,
			Revision: s.revisionOf(name),
		}
		if h.Contact > 0 {
			seconds := h.Contact.Seconds()
			one.ContactSeconds = &seconds
		}
		status.Bundles[name] = one
	}
	return status
}

// revisionOf is the name that a bundle has for its version.
func (s *Sidecar) revisionOf(name string) string {
	if b, ok := s.bundles.Newest(name).(*unpackedBundle); ok {
		return b.Revision
	}
	return ""
}
