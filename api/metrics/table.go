package metrics

import (
	"slices"
	"strconv"
	"time"
)

// The domains of decisions. Data is whatever is not one of the six: OPA's own API.
const (
	DomainAdmission    = "admission"
	DomainGuardrail    = "guardrail"
	DomainFirewall     = "firewall"
	DomainSandbox      = "sandbox"
	DomainAudit        = "audit"
	DomainSkillActions = "skill-actions"
	DomainData         = "data"
)

// Verdicts that no policy gives. The others are the policy's own words: the admission's verdict, the
// action of guardrail and firewall, retain or expire for audit, block or allow for skill actions,
// allow or restrict for sandbox.
const (
	VerdictError     = "error"     // the evaluation broke off
	VerdictDefined   = "defined"   // DomainData: there was a result
	VerdictUndefined = "undefined" // DomainData: there was none
)

// The instruments that are recorded by name.
const (
	policyReloads        = "defenseclaw.policy.reloads"
	policyReloadDuration = "defenseclaw.policy.reload.duration"
	policyEvaluations    = "defenseclaw.policy.evaluations"
	policyLatency        = "defenseclaw.policy.latency"
	admissionDecisions   = "defenseclaw.admission.decisions"
	blockLatency         = "defenseclaw.slo.block.latency"
	cacheHits            = "defenseclaw.guardrail.cache.hits"
	cacheMisses          = "defenseclaw.guardrail.cache.misses"
	judgeInvocations     = "defenseclaw.gateway.judge.invocations"
	judgeLatency         = "defenseclaw.gateway.judge.latency"
	judgeErrors          = "defenseclaw.gateway.judge.errors"
	httpRequests         = "defenseclaw.http.requests"
)

type kind int

const (
	counter   kind = iota // counted here
	histogram             // timed here
	gauge                 // a state, read when somebody asks
	total                 // a count that somebody else keeps, read when somebody asks
)

// instrument is one row of the table.
type instrument struct {
	name    string // OpenTelemetry's; Prometheus's is made from it, the unit and the kind
	unit    string // s, ms, nothing, or {what is counted}
	kind    kind
	buckets []float64 // of a histogram, in its unit
	labels  [][]label // each entry stands for every combination of its labels' values
	read    func(now *moment, set setter)
	help    string
}

// label is a key with the values that are known. A vec folds others into [other].
type label struct {
	key    string
	values []string
}

// setter says what a gauge or total reads for the series with these labels.
type setter func(value float64, labels ...string)

// moment is what the gauges and totals are read from.
type moment struct {
	Snapshot
	time    time.Time
	reloads *lastReload
	build   [3]string
}

// of is the common case: one entry.
func of(labels ...label) [][]label { return [][]label{labels} }

func one(key string, values ...string) label { return label{key, values} }

var (
	knownCodes = []int{200, 400, 401, 403, 404, 405, 413, 415, 429, 500, 503}

	statuses    = one("policy.status", StatusSuccess, StatusFailed)
	triggers    = one("policy.trigger", "startup", "watch", "poll", "api", "signal")
	states      = one("policy.state", "current", "stale", "restored", "embedded", "empty")
	targetTypes = one("target_type", "skill", "mcp", "plugin")
	domains     = one("policy.domain", DomainAdmission, DomainGuardrail, DomainFirewall, DomainSandbox,
		DomainAudit, DomainSkillActions, DomainData)
	admissionVerdicts = []string{"allowed", "blocked", "clean", "rejected", "scan", "warning", VerdictError}

	judgeKinds   = one("judge.kind", "injection", "exfil", "pii")
	judgeActions = []string{"allow", "alert", "block"}
	scanners     = one("scanner", scannerOf("injection"), scannerOf("exfil"), scannerOf("pii"))

	logSinks   = one("sink", "console", "file", "service")
	logReasons = one("reason", "policy", "queue", "drop_policy", "mask_policy", "encoding",
		"console", "file", "buffer", "upload_limit", "refused", "shutdown")

	decisionBuckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000}
	slowBuckets     = []float64{10, 25, 50, 100, 250, 500, 1000, 2000, 5000, 10000, 30000}
	reloadBuckets   = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
)

func scannerOf(kind string) string { return "llm-judge-" + kind }

// table is every instrument there is.
func (m *Metrics) table() []instrument {
	return slices.Concat(policyTable(), decisionTable(), judgeTable(m.ttl), watchTable(), serviceTable(m.cfg.Routes))
}

func policyTable() []instrument {
	return []instrument{
		{name: policyReloads, unit: "{reload}", kind: counter, labels: of(statuses),
			help: "Attempts to reload the policy, by how they ended. One that found nothing changed is a success."},
		{name: policyReloadDuration, unit: "s", kind: histogram, buckets: reloadBuckets,
			labels: of(triggers, one("policy.status", StatusSuccess, StatusUnchanged, StatusFailed)),
			help:   "How long attempts to reload the policy took, by what asked for them and how they ended."},
		{name: "defenseclaw.policy.last_reload.successful", kind: gauge,
			read: func(now *moment, set setter) { set(truth(now.reloads.ok)) },
			help: "Whether the last attempt to reload the policy succeeded: 1 or 0. It is 0 before the first."},
		{name: "defenseclaw.policy.last_reload.success.timestamp", unit: "s", kind: gauge,
			read: func(now *moment, set setter) { set(unix(now.reloads.succeededAt)) },
			help: "When an attempt to reload the policy last succeeded, in Unix time. It is 0 before the first."},
		{name: "defenseclaw.policy.generation", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Generation)) },
			help: "Number of the generation that serves. It is 0 when none does."},
		{name: "defenseclaw.policy.state", kind: gauge, labels: of(states),
			read: func(now *moment, set setter) { oneHot(states, now.State, set) },
			help: "How what serves relates to the policy directory: 1 for the state that holds, 0 for the others."},
		{name: "defenseclaw.policy.stale.duration", unit: "s", kind: gauge,
			read: func(now *moment, set setter) { set(now.stale().Seconds()) },
			help: "How long what serves has been behind a policy directory that is broken. It is 0 when it is not."},
	}
}

func decisionTable() []instrument {
	verdicts := func(domain string, values ...string) []label {
		return []label{one("policy.domain", domain), one("policy.verdict", append(values, VerdictError)...)}
	}
	return []instrument{
		{name: policyEvaluations, unit: "{evaluation}", kind: counter, labels: [][]label{
			{one("policy.domain", DomainAdmission), one("policy.verdict", admissionVerdicts...)},
			verdicts(DomainGuardrail, "allow", "alert", "block", "confirm", "deny", "redact"),
			verdicts(DomainFirewall, "allow", "deny"),
			verdicts(DomainSandbox, "allow", "restrict"),
			verdicts(DomainAudit, "retain", "expire"),
			verdicts(DomainSkillActions, "allow", "block"),
			verdicts(DomainData, VerdictDefined, VerdictUndefined),
		}, help: "Decisions, by domain and verdict. The domain data is OPA's own API."},
		{name: policyLatency, unit: "ms", kind: histogram, buckets: decisionBuckets, labels: of(domains),
			help: "How long decisions took, by domain, from the input read to the verdict."},
		{name: admissionDecisions, unit: "{decision}", kind: counter,
			labels: of(one("decision", admissionVerdicts...), one("source", "api"), targetTypes),
			help:   "Admission decisions, by verdict and by what was to be admitted."},
		{name: blockLatency, unit: "ms", kind: histogram, buckets: slowBuckets, labels: of(targetTypes),
			help: "How long it took to answer that something is not admitted, by what was to be admitted."},
	}
}

func judgeTable(ttl string) []instrument {
	cache, bucket := one("cache", "verdict"), one("ttl_bucket", ttl)
	return []instrument{
		{name: cacheHits, unit: "{hit}", kind: counter, labels: of(cache, scanners, one("verdict", judgeActions...), bucket),
			help: "Verdicts of the judge that were found in the cache."},
		{name: cacheMisses, unit: "{miss}", kind: counter, labels: of(cache, scanners, one("verdict", "none"), bucket),
			help: "Verdicts of the judge that were looked for in the cache in vain."},
		{name: judgeInvocations, unit: "{invocation}", kind: counter, labels: [][]label{
			{judgeKinds, one("judge.action", judgeActions...), one("judge.severity", "NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL")},
			{judgeKinds, one("judge.action", VerdictError), one("judge.severity", "NONE")},
		}, help: "Calls to the judge, by what was asked and what it said. Those without an answer have the action error."},
		{name: judgeLatency, unit: "ms", kind: histogram, buckets: slowBuckets, labels: of(judgeKinds),
			help: "How long calls to the judge took, by what was asked."},
		{name: judgeErrors, unit: "{error}", kind: counter,
			labels: of(judgeKinds, one("judge.reason", "busy", "timeout", "unreachable", "status", "too_large",
				"truncated", "refused", "malformed", "panic", "canceled")),
			help: "Questions to the judge that got no verdict, by why; docs/JUDGE.md says what to do about each."},
	}
}

func watchTable() []instrument {
	modes := one("watch.mode", "notify", "poll", "off")
	states := one("watch.state", "starting", "watching", "root-missing", "stopped", "off")
	return []instrument{
		{name: "defenseclaw.watch.mode", kind: gauge, labels: of(modes),
			read: func(now *moment, set setter) { oneHot(modes, now.Watch.Mode, set) },
			help: "How changes of the policy directory are noticed: 1 for the mode in use, 0 for the others."},
		{name: "defenseclaw.watch.state", kind: gauge, labels: of(states),
			read: func(now *moment, set setter) { oneHot(states, now.Watch.State, set) },
			help: "What the watch is doing: 1 for the state that holds, 0 for the others."},
		{name: "defenseclaw.watch.directories", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Watch.Directories)) },
			help: "Directories that are watched."},
		{name: "defenseclaw.watch.events", unit: "{event}", kind: total,
			read: func(now *moment, set setter) { set(float64(now.Watch.Events)) },
			help: "Changes in the policy directory that the watch was told of."},
		{name: "defenseclaw.watch.events.dropped", unit: "{event}", kind: total,
			read: func(now *moment, set setter) { set(float64(now.Watch.Dropped)) },
			help: "Times that the watch lost changes or met an error. Each was followed by a full scan."},
		{name: "defenseclaw.watch.last_scan.timestamp", unit: "s", kind: gauge,
			read: func(now *moment, set setter) { set(unix(now.Watch.LastScan)) },
			help: "When the policy directory was last scanned in full, in Unix time. It is 0 before the first."},
	}
}

func serviceTable(routes []string) []instrument {
	codes := label{key: "code"}
	for _, code := range knownCodes {
		codes.values = append(codes.values, strconv.Itoa(code))
	}
	return []instrument{
		{name: "defenseclaw.audit.events.total", unit: "{event}", kind: total,
			read: func(now *moment, set setter) { set(float64(now.Audit.Written)) },
			help: "Audit records that were written."},
		{name: "defenseclaw.audit.lost", unit: "{event}", kind: total,
			read: func(now *moment, set setter) { set(float64(now.Audit.Lost)) },
			help: "Audit records that could not be written and are lost."},
		{name: "defenseclaw.audit.backlog", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Audit.Backlog)) },
			help: "Audit records that wait to be written."},
		{name: "defenseclaw.decision_log.written", unit: "{event}", kind: total, labels: of(logSinks),
			read: func(now *moment, set setter) { each(logSinks, now.Decisions.Written, set) },
			help: "Decision log events that were written or, for the service, accepted, by where they went."},
		{name: "defenseclaw.decision_log.dropped", unit: "{event}", kind: total, labels: of(logReasons),
			read: func(now *moment, set setter) { each(logReasons, now.Decisions.Dropped, set) },
			help: "Decision log events that were not, by why; docs/DECISIONLOG.md says what to do about each."},
		{name: httpRequests, unit: "{request}", kind: counter, labels: of(one("route", routes...), codes),
			help: "HTTP requests that were answered, by route and status code."},
		{name: "defenseclaw.build.info", kind: gauge,
			read:   func(now *moment, set setter) { set(1, now.build[:]...) },
			labels: of(one("version"), one("go_version"), one("platform")),
			help:   "What runs: always 1."},
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func each(l label, counts map[string]uint64, set setter) {
	for _, v := range l.values {
		set(float64(counts[v]), v)
	}
}

func oneHot(l label, holds string, set setter) {
	for _, v := range l.values {
		set(truth(v == holds), v)
	}
}
