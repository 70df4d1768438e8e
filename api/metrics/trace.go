package metrics

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes spans for what is not measured here. It makes none that cost anything unless traces
// are exported.
func (m *Metrics) Tracer() trace.Tracer { return m.tracer }

// Continue puts the caller's trace, as the traceparent header tells it, into ctx. Without an export
// of traces it gives ctx back.
func (m *Metrics) Continue(ctx context.Context, header http.Header) context.Context {
	if m.spans == nil {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
}

// Decision is a decision under way, to be ended once. A copy is the same decision.
type Decision struct {
	metrics *Metrics
	ctx     context.Context
	span    trace.Span // nil unless traces are exported
	domain  string
	start   time.Time
}

// StartDecision begins to time a decision by the generation of that number, and its span where traces
// are exported. The context is for the evaluation. It allocates nothing unless traces are exported.
func (m *Metrics) StartDecision(ctx context.Context, domain string, generation uint64) (context.Context, Decision) {
	d := Decision{metrics: m, ctx: ctx, domain: domain, start: time.Now()}
	if m.spans != nil {
		d.ctx, d.span = m.tracer.Start(ctx, "policy.decide", trace.WithTimestamp(d.start), trace.WithAttributes(
			attribute.String("policy.domain", domain), attribute.Int64("policy.generation", int64(generation))))
	}
	return d.ctx, d
}

// End counts the decision with its verdict, and says how long it took.
func (d Decision) End(verdict string) time.Duration {
	took := time.Since(d.start)
	d.metrics.evaluations.add(d.domain, verdict)
	d.metrics.latency.took(d.ctx, took, d.domain)
	if d.span != nil {
		d.span.SetAttributes(attribute.String("policy.verdict", verdict))
		if verdict == VerdictError {
			d.span.SetStatus(codes.Error, "the evaluation broke off")
		}
		d.span.End(trace.WithTimestamp(d.start.Add(took)))
	}
	return took
}

// TraceReload makes a trace of an attempt that is over: a span for the whole, and one below it for
// each phase, with the times that they had.
func (m *Metrics) TraceReload(ctx context.Context, r Reload) {
	if m.spans == nil {
		return
	}
	ctx, span := m.tracer.Start(ctx, "policy.reload", trace.WithTimestamp(r.Start), trace.WithAttributes(
		attribute.String("policy.trigger", r.Trigger), attribute.String("policy.status", r.Status),
		attribute.Int64("policy.generation", int64(r.Generation)), attribute.String("policy.revision", r.Revision)))
	for _, p := range r.Phases {
		_, phase := m.tracer.Start(ctx, "policy.reload."+p.Name, trace.WithTimestamp(p.Start))
		finish(phase, p.Error, p.Start.Add(p.Duration))
	}
	reason := r.Error
	if reason == "" && r.Status == StatusFailed {
		reason = "the policy was refused"
	}
	finish(span, reason, r.Start.Add(r.Duration))
}

func finish(span trace.Span, reason string, end time.Time) {
	if reason != "" {
		span.SetStatus(codes.Error, reason)
	}
	span.End(trace.WithTimestamp(end))
}
