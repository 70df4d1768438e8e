package opa

import (
	"fmt"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/lineage"
	"github.com/open-policy-agent/opa/v1/version"
)

// observation is what the caller wants to see besides the result.
type observation struct {
	engine.Observation
	explain types.ExplainModeV1
	metrics metrics.Metrics // of the request; told to the caller when Observation.Metrics is it
	wanted  bool            // anything at all
}

// observation reads the parameters explain, metrics, instrument and rule_labels.
func (x *exchange) observation() observation {
	o := observation{explain: x.explain(), metrics: metrics.NoOp()}
	o.Instrument = x.flag(types.ParamInstrumentV1)
	if o.Instrument || x.flag(types.ParamMetricsV1) {
		o.metrics = metrics.New()
		o.Metrics = o.metrics
	}
	if o.explain != types.ExplainOffV1 {
		o.Tracer = topdown.NewBufferTracer()
	}
	if x.flag(types.ParamRuleLabelsV1) {
		o.Labels = &topdown.EvaluatedRuleTracker{}
	}
	o.wanted = o.Metrics != nil || o.Tracer != nil || o.Labels != nil
	return o
}

// explain is the first mode asked for that there is.
func (x *exchange) explain() types.ExplainModeV1 {
	for _, mode := range x.params[types.ParamExplainV1] {
		switch mode := types.ExplainModeV1(mode); mode {
		case types.ExplainNotesV1, types.ExplainFailsV1, types.ExplainFullV1, types.ExplainDebugV1:
			return mode
		}
	}
	return types.ExplainOffV1
}

// measured is nil when nobody asked.
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

// explanation is the trace, cut to what the mode shows; nil when nobody asked.
func (o *observation) explanation(pretty bool) (trace types.TraceV1, err error) {
	if o.Tracer == nil {
		return nil, nil
	}
	cut := map[types.ExplainModeV1]func([]*topdown.Event) []*topdown.Event{
		types.ExplainNotesV1: lineage.Notes, types.ExplainFailsV1: lineage.Fails,
		types.ExplainFullV1: lineage.Full, types.ExplainDebugV1: lineage.Debug,
	}[o.explain]
	if trace, err = types.NewTraceV1(cut(*o.Tracer), pretty); err != nil {
		return nil, fmt.Errorf("write the explanation: %w", err)
	}
	return trace, nil
}

// provenance is what OPA tells of itself, and the generation that decided, as the one bundle there is.
type provenance struct {
	types.ProvenanceV1
	Timestamp  string `json:"build_timestamp,omitempty"` // OPA's clients take a time or nothing, and a build may know none
	Generation uint64 `json:"generation"`
}

// provenance is nil when nobody asked.
func (x *exchange) provenance() *provenance {
	if !x.flag(types.ParamProvenanceV1) {
		return nil
	}
	return &provenance{
		ProvenanceV1: types.ProvenanceV1{
			Version: version.Version, Vcs: version.Vcs, Hostname: version.Hostname,
			Bundles: map[string]types.ProvenanceBundleV1{"defenseclaw": {Revision: x.g.Revision()}},
		},
		Timestamp: version.Timestamp, Generation: x.g.Number(),
	}
}
