package signed

import (
	"errors"
	"fmt"

	"defenseclaw/cmd/internal/settings"
)

// ForBundles reads the keys that verify bundles, without a place that policy is served from. It returns nil where the
// settings name none.
func ForBundles(set settings.Settings) (*Sources, error) {
	if len(set.Signature.Keys) == 0 {
		if set.Signature.Scope != "" {
			return nil, errors.New("signature.scope is set, and signature.keys names no key")
		}
		return nil, nil
	}
	release, err := newRelease(set)
	if err != nil {
		return nil, fmt.Errorf("signature.keys: %w", err)
	}
	return &Sources{release: release}, nil
}
