package sidecar

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"defenseclaw/api/gate"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Limits on connections, where the settings leave them to the program.
const (
	// ownDescriptors are kept for policy files, the audit database, the history, the watch and the logs, and
	// an eighth of all where that is more. Reading a policy of any size takes fewer than ten at once, and SQLite
	// about as many.
	ownDescriptors = 64
	// maxConnections bounds memory where descriptors do not: an idle connection takes about 20 kB.
	maxConnections = 4096
)

// limitConnections bounds the connections of all listeners together.
func (s *Sidecar) limitConnections() (err error) {
	set := s.cfg.Settings
	possible, limit := s.possibleConnections()
	if set.MaxConnections > possible {
		return fmt.Errorf("--max-connections %d does not fit into the limit of %d open files (ulimit -n): %d are needed for other things",
			set.MaxConnections, limit, limit-possible)
	}
	rejected := rate.Sometimes{First: 1, Interval: time.Minute}
	s.connections, err = gate.NewConnections(gate.ConnectionsConfig{
		Max: cmp.Or(set.MaxConnections, min(possible, maxConnections)), PerAddress: set.MaxPerAddress,
		OnReject: func(reason string) {
			if reason != gate.RejectedNoToken { // these need no room
				rejected.Do(func() {
					s.cfg.Logger.Warn("the maximum of connections is reached; some are closed", zap.String("reason", reason))
				})
			}
		},
	})
	if err != nil {
		return err
	}
	s.listener = s.connections.Listener(s.listener)
	if s.envoyListener != nil {
		s.envoyListener = s.connections.Listener(s.envoyListener)
	}
	if s.local != nil {
		s.local = s.connections.Listener(s.local)
	}
	return nil
}

// possibleConnections is how many connections leave enough descriptors for everything else, and the limit that
// it is derived from.
func (s *Sidecar) possibleConnections() (possible, limit int) {
	limit = descriptorLimit()
	if limit == math.MaxInt {
		return limit, limit
	}
	own := max(ownDescriptors, limit/8) + s.cfg.Settings.Judge.MaxConcurrent // which may be turned on at any time
	own = min(own, limit/2)                                                  // a limit below 128 leaves some connections
	return limit - own, limit
}
