package signed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/opaconfig"
	"defenseclaw/engine"
	"defenseclaw/engine/signature"
	"defenseclaw/engine/source"
)

// of is between the name of a bundle and the fingerprint of who signed it.
const of = "="

// newBundles is nil where OPA's configuration, which may be nil, has no keys.
func newBundles(config *opaconfig.Config) (*Sources, error) {
	if config == nil || len(config.Bundles) == 0 || len(config.Keys) == 0 {
		return nil, nil
	}
	var keys []signature.Key
	scopes := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(config.Keys)) {
		k := config.Keys[id]
		if k.Key == "" {
			continue // it signs requests
		}
		key, err := signature.ParseKey(id, cmp.Or(k.Algorithm, "RS256"), []byte(k.Key))
		if err != nil {
			return nil, fmt.Errorf("keys.%s of OPA's configuration: %w", id, err)
		}
		keys, scopes[id] = append(keys, key), k.Scope
	}
	all := &Sources{bundles: map[string]*signature.Release{}}
	for name, b := range config.Bundles {
		if len(keys) == 0 && b.Signing == nil {
			continue
		}
		cfg := signature.Config{Keys: keys, Bundle: &signature.BundleConfig{Scopes: scopes, Optional: b.Signing == nil}}
		if b.Signing != nil {
			cfg.Scope, cfg.Bundle.KeyID, cfg.Bundle.Exclude = b.Signing.Scope, b.Signing.KeyID, b.Signing.Exclude
		}
		var err error
		if all.bundles[name], err = signature.NewRelease(cfg); err != nil {
			return nil, fmt.Errorf("bundles.%s.signing of OPA's configuration: %w", name, err)
		}
	}
	return all, nil
}

// bundleKeys are those that may sign one bundle of several.
type bundleKeys struct {
	release *signature.Release
	name    string
}

// Trusts is a verifier's.
func (k bundleKeys) Trusts(fingerprint string) bool {
	key, mine := strings.CutPrefix(fingerprint, k.name+of)
	return mine && k.release.Trusts(key)
}

// Verify is a verifier's.
func (bundleKeys) Verify(context.Context, fs.FS, *source.Reading) (engine.Verified, error) {
	return engine.Verified{}, errors.New("a bundle is verified when it is read")
}

// Join is who signed several bundles.
func Join(all ...engine.Verified) (joined engine.Verified) {
	for _, v := range all {
		switch {
		case v.By == "":
		case joined.By == "":
			joined = v
		default:
			joined.By, joined.Fingerprint = joined.By+separator+v.By, joined.Fingerprint+separator+v.Fingerprint
		}
	}
	return joined
}
