package api

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"defenseclaw/api/decisionlog"
)

// Parts are those of a sidecar that may ail while its policy serves. The fields of [StatusAnswer] include them. A part that
// does not exist is left out.
type Parts struct {
	DecisionLog *DecisionLogStatus `json:"decision_log,omitempty"`
	ExtAuthz    *ExtAuthzStatus    `json:"ext_authz,omitempty"`
	Workers     *WorkersStatus     `json:"workers,omitempty"`
	Certificate *CertificateStatus `json:"certificate,omitempty"`
}

// DecisionLogStatus counts events since the start.
type DecisionLogStatus struct {
	Sinks   []string          `json:"sinks"`              // console, file, service
	Written map[string]uint64 `json:"written"`            // by sink; the service counts accepted events
	Dropped map[string]uint64 `json:"dropped"`            // by reason; policy is intended, and no loss
	Failing []string          `json:"failing"`            // sinks that did not take what was sent to them last
	Error   string            `json:"error,omitempty"`    // the last one
	ErrorAt *time.Time        `json:"error_at,omitempty"` // left out where there was none
}

// ExtAuthzStatus is of the listener for Envoy. An address that is taken refuses the start.
type ExtAuthzStatus struct {
	Address string `json:"address"` // host:port, or unix:PATH
	Serving bool   `json:"serving"`
	Reason  string `json:"reason,omitempty"` // why not
}

// WorkersStatus is of the processes that evaluate what may end a process.
type WorkersStatus struct {
	Evaluate string            `json:"evaluate"` // queries, or everything: decisions too
	Running  int               `json:"running"`  // 0 is normal for queries, while there are none
	Ended    map[string]uint64 `json:"ended"`    // by reason, since the start
	Refused  uint64            `json:"refused"`  // evaluations, because of the processes that they ended
	Last     *WorkerEnd        `json:"last_end,omitempty"`
}

// WorkerEnd is how a worker ended last that nobody wanted to end.
type WorkerEnd struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"` // died, killed, hung or unready
	Detail string    `json:"detail"`
}

// CertificateStatus is of the TLS certificate that is shown to callers.
type CertificateStatus struct {
	File      string    `json:"file"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Error     string    `json:"error,omitempty"` // why newer files are not in use
}

// Levels of a [Part].
const (
	PartWell  = "well"
	PartLook  = "look"  // a person should look at it
	PartWrong = "wrong" // it does not work
)

// Part is how one of the parts is, in a sentence.
type Part struct {
	Name  string
	Level string // PartWell, PartLook or PartWrong
	Text  string
}

// How long before its end a certificate needs a look, and how long after it the end of a worker does.
const certificateNotice, workerNotice = 14 * 24 * time.Hour, time.Hour

// Tell says how the parts are.
func (p *Parts) Tell(now time.Time) (all []Part) {
	if p.DecisionLog != nil {
		all = append(all, p.DecisionLog.tell())
	}
	if e := p.ExtAuthz; e != nil {
		part := Part{"Envoy", PartWell, "decides for Envoy at " + e.Address}
		if !e.Serving {
			part = Part{"Envoy", PartWrong, "does not decide for Envoy at " + e.Address + ": " + e.Reason}
		}
		all = append(all, part)
	}
	if p.Workers != nil {
		all = append(all, p.Workers.tell(now))
	}
	if p.Certificate != nil {
		all = append(all, p.Certificate.tell(now))
	}
	return all
}

func (d *DecisionLogStatus) tell() Part {
	const name = "Decision log"
	lost := uint64(0)
	for reason, n := range d.Dropped {
		if reason != decisionlog.DroppedPolicy {
			lost += n
		}
	}
	if len(d.Failing) > 0 {
		return Part{name, PartWrong, fmt.Sprintf("%s takes no events, %d are lost: %s", strings.Join(d.Failing, " and "), lost, d.Error)}
	}
	if lost > 0 {
		return Part{name, PartLook, fmt.Sprintf("written, but %d events were lost since the start: %s", lost, cmp.Or(d.Error, "no reason is known"))}
	}
	var sinks []string
	for _, sink := range d.Sinks {
		sinks = append(sinks, fmt.Sprintf("%d to %s", d.Written[sink], sink))
	}
	return Part{name, PartWell, "events written: " + strings.Join(sinks, ", ")}
}

func (w *WorkersStatus) tell(now time.Time) Part {
	const name = "Workers"
	ended := uint64(0)
	for n := range maps.Values(w.Ended) {
		ended += n
	}
	last := ""
	if w.Last != nil {
		last = fmt.Sprintf(": the last one %s at %s, %s", w.Last.Reason, w.Last.At.UTC().Format(time.RFC3339), w.Last.Detail)
	}
	switch {
	case w.Evaluate == "everything" && w.Running == 0:
		return Part{name, PartWrong, "none is ready to make decisions" + last}
	case w.Last != nil && now.Sub(w.Last.At) < workerNotice:
		return Part{name, PartLook, fmt.Sprintf("%d ended and were replaced%s", ended, last)}
	default:
		return Part{name, PartWell, fmt.Sprintf("%d run, for %s; %d ended since the start", w.Running, w.Evaluate, ended)}
	}
}

func (c *CertificateStatus) tell(now time.Time) Part {
	const name = "Certificate"
	until := c.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case now.After(c.NotAfter):
		return Part{name, PartWrong, c.File + " expired at " + until}
	case now.Before(c.NotBefore):
		return Part{name, PartWrong, c.File + " is not valid before " + c.NotBefore.UTC().Format(time.RFC3339)}
	case c.Error != "":
		return Part{name, PartWrong, "the files changed and do not fit together; the ones before stay in use until " + until + ": " + c.Error}
	case c.NotAfter.Sub(now) < certificateNotice:
		return Part{name, PartLook, c.File + " expires at " + until}
	default:
		return Part{name, PartWell, "valid until " + until}
	}
}

// parts are how they are now.
func (s *Server) parts() Parts {
	p := Parts{}
	if s.cfg.Parts != nil {
		p = s.cfg.Parts()
	}
	if s.cfg.Decisions != nil {
		h := s.cfg.Decisions.Health()
		p.DecisionLog = &DecisionLogStatus{
			Sinks: s.cfg.Decisions.Sinks(), Written: notNilCounts(h.Written), Dropped: notNilCounts(h.Dropped),
			Failing: notNil(slices.Sorted(maps.Keys(h.Failing))), ErrorAt: OptionalTime(h.ErrorAt),
		}
		if h.Err != nil {
			p.DecisionLog.Error = h.Err.Error()
		}
	}
	if p.ExtAuthz != nil {
		_, err := s.serving()
		if p.ExtAuthz.Serving = err == nil; err != nil {
			p.ExtAuthz.Reason = err.Error()
		}
	}
	return p
}

func notNilCounts(counts map[string]uint64) map[string]uint64 {
	if counts == nil {
		return map[string]uint64{}
	}
	return counts
}
