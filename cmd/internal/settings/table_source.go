package settings

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"defenseclaw/cmd/internal/opaconfig"
)

// Source is where policy comes from if not from a directory.
type Source struct {
	URL   string        // of a bundle, http or https; empty: a directory, or the embedded pack
	Creds string        // a file with a bearer token
	CA    string        // a file with the certificates that sign the server's; empty: the system's
	Poll  time.Duration // between two looks
	Stale Stale

	// OPA is what the file of --opa-config says; nil without one.
	OPA *opaconfig.Config

	opaFile string
	Keys    string            // of a channel: the file of those that are trusted
	Domain  string            // of a channel: of its JetStream; empty: the server's own
	Agent   string            // of a channel: this sidecar's name there; empty: the host's
	Labels  map[string]string // of a channel: this sidecar's
	Observe Observe

	place   string // as it was given
	foundIn string // the flag, variable or key that sets it; empty: none does
}

// sourcing are the settings of a source.
func sourcing(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "source", Env: "DEFENSECLAW_SOURCE", Key: "source.url", value: sourced(&s.Source.foundIn, text(&s.Source.place)),
			Help: "serve the policy bundle at `URL`, https://… or oci://REGISTRY/REPOSITORY:TAG, or the channel nats://HOST,…/CHANNEL, and follow it; a directory means the same as --policy-dir",
		},
		{
			Flag: "opa-config", Env: "DEFENSECLAW_OPA_CONFIG", Key: "source.opa_config", value: path(&s.Source.opaFile),
			Help: "follow the bundles, send the status and log the decisions that `FILE` says, in the format of opa run -c; what of it is not taken refuses the start",
		},
		{
			Flag: "source-creds", Env: "DEFENSECLAW_SOURCE_CREDS", Key: "source.creds", value: path(&s.Source.Creds),
			Help: "send the token in `FILE` to the source; for oci:// NAME:PASSWORD, or what the docker login configuration in it says; for nats:// the NATS credentials or the seed of an nkey; it is read again for each request",
		},
		{
			Flag: "source-ca", Env: "DEFENSECLAW_SOURCE_CA", Key: "source.ca", value: path(&s.Source.CA),
			Help: "trust the certificates in `FILE`, and no others, to sign the source's",
		},
		{
			Flag: "source-poll", Env: "DEFENSECLAW_SOURCE_POLL", Key: "source.poll", Default: "45s", value: duration(&s.Source.Poll),
			Help: "ask the source for news every `DURATION`, more or less by half; a server that can wait for news is asked to, instead",
		},
	}
}

// Place names where policy comes from: the URL of a source, or the policy directory; empty: the embedded pack.
func (s Settings) Place() string {
	if s.Source.URL != "" {
		return s.Source.URL
	}
	return s.PolicyDir
}

// chooseSource reports whether a source is set that is no directory, and takes one that is.
func (s *Settings) chooseSource() (bool, error) {
	given := s.Source.place
	if s.Source.OPA != nil && len(s.Source.OPA.Bundles) > 0 {
		return true, s.chooseBundles()
	}
	if given == "" {
		return false, nil
	}
	if s.policySource != "" && s.PolicyDir != "" {
		return false, fmt.Errorf("%s and %s are both set: one of them was expected", s.Source.foundIn, s.policySource)
	}
	scheme, _, isURL := strings.Cut(given, "://")
	if !isURL {
		s.PolicyDir, s.policySource = given, s.Source.foundIn
		return false, nil
	}
	u, err := url.Parse(given)
	check, known := sourceSchemes[scheme]
	switch {
	case err != nil:
		return false, fmt.Errorf("%s: %w", s.Source.foundIn, err)
	case !known:
		return false, fmt.Errorf("%s is %q: a directory, https://…, http://…, oci://… or nats://… was expected", s.Source.foundIn, given)
	case u.User != nil:
		return false, fmt.Errorf("%s has a password in it, which logs would show: use --source-creds", s.Source.foundIn)
	}
	if err := check(u); err != nil {
		return false, fmt.Errorf("%s is %q: %w", s.Source.foundIn, given, err)
	}
	s.Source.URL = given
	if err := s.checkFleet(); err != nil {
		return false, err
	}
	s.PolicyFrom, s.PolicyWhy = PolicySourced, "set by "+s.Source.foundIn
	return true, nil
}

// OPAScheme begins the place of bundles that OPA's configuration names; its file follows.
const OPAScheme = "opa-config"

// chooseBundles follows what OPA's configuration says.
func (s *Settings) chooseBundles() error {
	for key, value := range map[string]string{s.Source.foundIn: s.Source.place, s.policySource: s.PolicyDir} {
		if value != "" {
			return fmt.Errorf("%s has bundles, and %s is set: one of them was expected", s.Source.opaFile, key)
		}
	}
	s.Source.URL = OPAScheme + "://" + filepath.ToSlash(s.Source.OPA.File)
	s.PolicyFrom, s.PolicyWhy = PolicySourced, "the bundles of "+s.Source.opaFile
	return nil
}

// readOPA reads OPA's configuration, if a setting names one.
func (s *Settings) readOPA(from *sources) (map[string]string, error) {
	for _, row := range sourcing(s) {
		if row.Flag != "opa-config" {
			continue
		}
		if err := row.resolve(from.find(row)); err != nil || s.Source.opaFile == "" {
			return nil, err
		}
	}
	config, err := opaconfig.Read(s.Source.opaFile, from.lookUp)
	if err != nil {
		return nil, err
	}
	s.Source.OPA = config
	return config.Values(), nil
}

// sourceSchemes are the schemes of a source that is no directory, each with what a URL of it must have.
var sourceSchemes = map[string]func(*url.URL) error{
	"http":  checkBundleURL,
	"https": checkBundleURL,
	"oci":   checkOCI,
	"nats":  checkChannelURL,
	"tls":   checkChannelURL,
}

func checkBundleURL(u *url.URL) error {
	switch {
	case u.Host == "" || u.Path == "" || u.Path == "/":
		return errors.New("the URL of a bundle was expected, such as https://example.com/bundle.tar.gz")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errPlainSource
	}
	return nil
}

var errPlainSource = errors.New("without TLS, anybody on the way could send another policy; https:// was expected")

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
