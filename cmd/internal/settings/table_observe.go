package settings

import (
	"fmt"
	"net/url"
	"strings"
)

// Observe are the settings of a sidecar that shows who else follows a channel.
type Observe struct {
	Creds string // a file of an observer's credentials; may be empty
	URL   string // as it was given; see [Settings.Observes]

	foundIn string // the flag, variable or key that sets URL or Creds; empty: none does
}

// observing are the settings of what the page Fleet shows.
func observing(s *Settings) []Setting {
	o := &s.Source.Observe
	return []Setting{
		{
			Flag: "source-observe", Env: "DEFENSECLAW_SOURCE_OBSERVE", Key: "source.observe", value: sourcedIfSet(&o.foundIn, path(&o.Creds)),
			Help: "show who follows the channel, on the console's page Fleet and at GET /policy/fleet, by the credentials in `FILE`, which fleet user --role observer makes",
		},
		{
			Flag: "source-observe-url", Env: "DEFENSECLAW_SOURCE_OBSERVE_URL", Key: "source.observe_url", value: sourcedIfSet(&o.foundIn, text(&o.URL)),
			Help: "show who follows the channel nats://HOST,…/CHANNEL at `URL`, instead of the one that is followed; --source-keys, --source-ca and --source-domain count for it, too",
		},
	}
}

// sourcedIfSet also stores where a value that is not empty was found.
func sourcedIfSet(source *string, v value) value {
	set := v.set
	v.set = func(f found) error {
		if f.text != "" {
			*source = f.source
		}
		return set(f)
	}
	return v
}

// Observes is the URL of the channel whose agents are shown; empty: of none.
func (s Settings) Observes() string {
	o := s.Source.Observe
	if o.URL == "" && o.Creds != "" {
		return s.Source.URL
	}
	return o.URL
}

// checkObserve says what is wrong with the channel that is observed.
func (s *Settings) checkObserve() error {
	place, o := s.Observes(), s.Source.Observe
	if o.URL == "" && o.Creds == "" {
		return nil
	}
	if scheme, _, _ := strings.Cut(place, "://"); scheme != "nats" && scheme != "tls" {
		if o.URL == "" {
			return fmt.Errorf("%s is set, and policy comes from no channel: --source-observe-url with nats://HOST/CHANNEL was expected", o.foundIn)
		}
		return fmt.Errorf("%s is %q: nats://HOST,…/CHANNEL or tls://HOST,…/CHANNEL was expected", o.foundIn, place)
	}
	u, err := url.Parse(place)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", o.foundIn, err)
	case u.User != nil:
		return fmt.Errorf("%s has a password in it, which logs would show: use --source-observe", o.foundIn)
	case s.Source.Keys == "":
		return fmt.Errorf("%s is set, and no keys are named: --source-keys with the agents' file of keys was expected, to see who signed the records", o.foundIn)
	}
	if err := checkChannelURL(u); err != nil {
		return fmt.Errorf("%s is %q: %w", o.foundIn, place, err)
	}
	return nil
}
