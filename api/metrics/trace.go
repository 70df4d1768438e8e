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

// Continue returns ctx with the caller's trace, from the traceparent header. It returns ctx unchanged
// unless traces are exported.
func (m *Metrics) Continue(ctx context.Context, header http.Header) context.Context {
	if m.spans == nil {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
}

// Decision is a decision in progress. Call End once, on it or on a copy.
type Decision struct {
	metrics *Metrics
	ctx     context.Context
	span    trace.Span // nil unless traces are exported
	domain  string
	start   time.Time
}

// StartDecision starts timing a decision of the generation with that number and, if traces are exported,
// starts its span. Evaluate with the context it returns. It allocates only if traces are exported. A decision that has
// begun before passes when; otherwise that is the zero time.
func (m *Metrics) StartDecision(ctx context.Context, domain string, generation uint64, begun time.Time) (context.Context, Decision) {
	if begun.IsZero() {
		begun = time.Now()
	}
	d := Decision{metrics: m, ctx: ctx, domain: domain, start: begun}
	if m.spans != nil {
		d.ctx, d.span = m.tracer.Start(ctx, "policy.decide", trace.WithTimestamp(d.start), trace.WithAttributes(
			attribute.String("policy.domain", domain), attribute.Int64("policy.generation", int64(generation))))
	}
	return d.ctx, d
}

// Started is when the decision began.
func (d Decision) Started() time.Time { return d.start }

// End counts the decision with its verdict and returns its duration.
func (d Decision) End(verdict string) time.Duration {
	elapsed := time.Since(d.start)
	d.metrics.evaluations.add(d.domain, verdict)
	d.metrics.latency.observe(d.ctx, elapsed, d.domain)
	if d.span != nil {
		d.span.SetAttributes(attribute.String("policy.verdict", verdict))
		if verdict == VerdictError {
			d.span.SetStatus(codes.Error, "the evaluation failed")
		}
		d.span.End(trace.WithTimestamp(d.start.Add(elapsed)))
	}
	return elapsed
}

// TraceReload exports a finished attempt as a trace: a span for the attempt, with a child span for each
// phase.
func (m *Metrics) TraceReload(ctx context.Context, r Reload) {
	if m.spans == nil {
		return
	}
	ctx, span := m.tracer.Start(ctx, "policy.reload", trace.WithTimestamp(r.Start), trace.WithAttributes(
		attribute.String("policy.trigger", r.Trigger), attribute.String("policy.status", r.Status),
		attribute.Int64("policy.generation", int64(r.Generation)), attribute.String("policy.revision", r.Revision)))
	for _, p := range r.Phases {
		_, phase := m.tracer.Start(ctx, "policy.reload."+p.Name, trace.WithTimestamp(p.Start))
		endSpan(phase, p.Error, p.Start.Add(p.Duration))
	}
	reason := r.Error
	if reason == "" && r.Status == StatusFailed {
		reason = "the policy was refused"
	}
	endSpan(span, reason, r.Start.Add(r.Duration))
}

func endSpan(span trace.Span, reason string, end time.Time) {
	if reason != "" {
		span.SetStatus(codes.Error, reason)
	}
	span.End(trace.WithTimestamp(end))
}
