package sidecar

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/events"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/watcher"
	"defenseclaw/watcher/bundle"

	"go.uber.org/zap"
)

// bundleOrigin follows bundles on HTTP servers.
type bundleOrigin struct {
	url     string
	names   []string
	bundles *bundle.Source
	active  activations
	changed func() // is told when there is something to tell of a bundle
	events  *events.Hub
	logger  *zap.Logger
}

func newBundleOrigin(s *Sidecar) (origin, error) {
	set := s.cfg.Settings.Source
	get, err := getBundle(set)
	if err != nil {
		return nil, err
	}
	return s.followBundles(bundle.Config{Bundles: map[string]bundle.Get{bundleName(set.URL): get}, Poll: set.Poll},
		map[string]*unpacker{bundleName(set.URL): s.newUnpacker(set.URL)})
}

// followBundles completes a configuration, whose bundles are read by what unpack has for each.
func (s *Sidecar) followBundles(cfg bundle.Config, unpack map[string]*unpacker) (origin, error) {
	o := &bundleOrigin{url: s.cfg.Settings.Source.URL, events: s.events, logger: s.cfg.Logger, changed: s.statusSender.Changed}
	o.names = slices.Sorted(maps.Keys(cfg.Bundles))
	cfg.Unpack = func(ctx context.Context, name, etag string, in io.Reader) (bundle.Unpacked, error) {
		return unpack[name].unpack(ctx, name, etag, in)
	}
	cfg.Tree, cfg.Changed = treeOf, o.report
	askOften(&cfg, s.cfg.Settings.Source.Stale.After)
	var err error
	if o.bundles, err = bundle.New(cfg); err != nil {
		return nil, err
	}
	for name, u := range unpack {
		if etag, unpacked := u.kept(name); unpacked != nil {
			o.bundles.Adopt(name, etag, unpacked)
		}
	}
	return o, nil
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
func getBundle(set settings.Source) (bundle.Get, error) {
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
	client, err := newClient("source", text, nil)
	if err != nil {
		return nil, err
	}
	return getWith(client, u.RequestURI()), nil
}

// FS is an [origin]'s.
func (o *bundleOrigin) FS() (fs.FS, error) { return o.bundles.FS() }

// Run is an [origin]'s.
func (o *bundleOrigin) Run(ctx context.Context, out chan<- watcher.Change) error {
	return o.bundles.Run(ctx, out)
}

// Refresh is an [origin]'s.
func (o *bundleOrigin) Refresh(ctx context.Context) error { return o.bundles.Refresh(ctx) }

// Actor is an [origin]'s.
func (o *bundleOrigin) Actor() string { return "source: " + o.url }

// The transitions of the subsystem source.
const (
	transitionFetched     = "fetched"
	transitionNotAnswered = "not-answered" // the last good policy serves on
	transitionRefused     = "refused"      // and fetched again only when it has changed
)

// report publishes and logs how it goes with a bundle.
func (o *bundleOrigin) report(name string, h bundle.Health) {
	o.changed()
	transition, level := transitionFetched, zap.InfoLevel
	switch {
	case h.Error != "":
		transition, level = transitionNotAnswered, zap.WarnLevel
	case h.Refused != "":
		transition, level = transitionRefused, zap.ErrorLevel
		o.active.count(name)
	}
	o.events.Publish(events.Event{Subsystem: "source", Transition: transition, Details: map[string]any{
		"bundle": name, "url": o.url, "etag": h.ETag, "error": h.Error, "refused": h.Refused,
	}})
	o.logger.Log(level, "source "+transition, zap.String("subsystem", "source"), zap.String("bundle", name),
		zap.String("url", o.url), zap.String("etag", h.ETag), zap.String("error", h.Error), zap.String("refused", h.Refused))
}

// Health is an [origin]'s.
func (o *bundleOrigin) Health() *api.Source {
	status := &api.Source{URL: o.url, Bundles: map[string]api.SourceBundle{}}
	for name, h := range o.bundles.Health() {
		one := api.SourceBundle{
			ETag: h.ETag, Fetched: h.Fetched, Bytes: h.Bytes, Error: h.Error, Refused: cmp.Or(h.Refused, o.active.refusal(name)),
			Revision: revisionOf(o.bundles.Newest(name)),
		}
		if h.Contact > 0 {
			seconds := h.Contact.Seconds()
			one.ContactSeconds = &seconds
		}
		status.Bundles[name] = one
	}
	return status
}
