package opa

import (
	"fmt"

	"defenseclaw/engine"
	opabundle "defenseclaw/engine/bundle"

	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/lineage"
	"github.com/open-policy-agent/opa/v1/version"
)

// observation is what the caller requests in addition to the result, and how it is evaluated.
type observation struct {
	engine.Observation
	explain types.ExplainModeV1
	metrics metrics.Metrics // of the request; part of the answer if Observation.Metrics is set
	wanted  bool            // whether anything is requested
}

// observation reads the parameters explain, metrics, instrument, rule_labels and strict-builtin-errors.
func (x *exchange) observation() observation {
	o := observation{explain: x.explain(), metrics: metrics.NoOp()}
	o.Lenient = !x.StrictBuiltinErrors && !x.flag(types.ParamStrictBuiltinErrors)
	o.Instrument = x.flag(types.ParamInstrumentV1)
	if o.Instrument || x.flag(types.ParamMetricsV1) {
		o.metrics = metrics.New()
		o.Metrics = o.metrics
	}
	if o.explain != types.ExplainOffV1 {
		o.Tracer, o.MaxEvents = topdown.NewBufferTracer(), maxEvents
	}
	if x.flag(types.ParamRuleLabelsV1) {
		o.Labels = &topdown.EvaluatedRuleTracker{}
	}
	o.wanted = o.Metrics != nil || o.Tracer != nil || o.Labels != nil
	return o
}

// explain returns the first valid mode of the parameter explain.
func (x *exchange) explain() types.ExplainModeV1 {
	for _, mode := range x.params[types.ParamExplainV1] {
		switch mode := types.ExplainModeV1(mode); mode {
		case types.ExplainNotesV1, types.ExplainFailsV1, types.ExplainFullV1, types.ExplainDebugV1:
			return mode
		}
	}
	return types.ExplainOffV1
}

// measured returns the metrics; nil if not requested.
func (o *observation) measured() types.MetricsV1 {
	if o.Metrics == nil {
		return nil
	}
	return o.Metrics.All()
}

func (o *observation) labels() []map[string]any {
	if o.Labels == nil {
		return nil
	}
	return o.Labels.Labels
}

// explanation returns the trace, filtered by the mode; nil if not requested.
func (x *exchange) explanation(o observation) (trace types.TraceV1, err error) {
	if o.Tracer == nil {
		return nil, nil
	}
	filter := map[types.ExplainModeV1]func([]*topdown.Event) []*topdown.Event{
		types.ExplainNotesV1: lineage.Notes, types.ExplainFailsV1: lineage.Fails,
		types.ExplainFullV1: lineage.Full, types.ExplainDebugV1: lineage.Debug,
	}[o.explain]
	events, left := filter(*o.Tracer), allowance(x.g.MaxAnswerBytes())
	if !left.takeEvents(events, x.pretty()) {
		return nil, x.g.AnswerTooLong()
	}
	if trace, err = types.NewTraceV1(events, x.pretty()); err != nil {
		return nil, fmt.Errorf("write the explanation: %w", err)
	}
	return trace, nil
}

// provenance is the version of OPA, and the generation that decided as the only bundle.
type provenance struct {
	types.ProvenanceV1
	Timestamp  string `json:"build_timestamp,omitempty"` // omitted if unknown: OPA's clients require a time
	Generation uint64 `json:"generation"`
}

// provenance returns nil if it is not requested.
func (x *exchange) provenance() *provenance {
	if !x.flag(types.ParamProvenanceV1) {
		return nil
	}
	bundles := map[string]types.ProvenanceBundleV1{}
	for name, revision := range opabundle.Revisions(x.g.Data()) {
		bundles[name] = types.ProvenanceBundleV1{Revision: revision}
	}
	bundles["defenseclaw"] = types.ProvenanceBundleV1{Revision: x.g.Revision()}
	return &provenance{
		ProvenanceV1: types.ProvenanceV1{
			Version: version.Version, Vcs: version.Vcs, Hostname: version.Hostname,
			Bundles: bundles,
		},
		Timestamp: version.Timestamp, Generation: x.g.Number(),
	}
}
