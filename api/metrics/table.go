package metrics

import (
	"slices"
	"strconv"
	"time"
)

// The domains of decisions: the six of the contract, and data for all other paths, which OPA's own API,
// AuthZEN and Envoy ask for.
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
	VerdictError     = "error"     // the evaluation failed
	VerdictDefined   = "defined"   // DomainData: there is a result
	VerdictUndefined = "undefined" // DomainData: there is none
)

// The instruments that are recorded by name.
const (
	policyReloads        = "defenseclaw.policy.reloads"
	policyReloadDuration = "defenseclaw.policy.reload.duration"
	policyReviews        = "defenseclaw.policy.reviews"
	policyReviewDuration = "defenseclaw.policy.review.duration"
	policyReviewFlips    = "defenseclaw.policy.review.flips"
	policyFindings       = "defenseclaw.policy.findings"
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
	counter         kind = iota // counted in this package
	histogram                   // durations, recorded as they end
	gauge                       // a state, read at each scrape and export
	observedCounter             // a count that another package keeps, read at each scrape and export
)

// instrument is one row of the table.
type instrument struct {
	name    string // OpenTelemetry's; Prometheus's is made from it, the unit and the kind
	unit    string // s, ms, nothing, or {what is counted}
	kind    kind
	buckets []float64     // of a histogram, in its unit
	labels  [][]labelSpec // each entry stands for the product of its labels' values
	read    func(now *moment, set setter)
	help    string
}

// labelSpec is a label's key and the values that are declared for it. A vec counts others as [other].
type labelSpec struct {
	key    string
	values []string
}

// setter takes the value of the series with these labels, of a gauge or observedCounter.
type setter func(value float64, labels ...string)

// moment is what gauges and observedCounters are read from.
type moment struct {
	Snapshot
	time    time.Time
	reloads *lastReload
	build   [3]string
}

// product is the labels of an instrument all of whose combinations of values occur.
func product(labels ...labelSpec) [][]labelSpec { return [][]labelSpec{labels} }

func label(key string, values ...string) labelSpec { return labelSpec{key, values} }

var (
	declaredCodes = []int{200, 400, 401, 403, 404, 405, 413, 415, 429, 500, 503}

	statuses    = label("policy.status", StatusSuccess, StatusFailed)
	triggers    = label("policy.trigger", "startup", "watch", "poll", "api", "signal")
	states      = label("policy.state", "current", "stale", "restored", "embedded", "empty")
	controls    = label("control.mode", "follow", "held", "pinned", "confirming")
	verdicts    = label("verdict", "admitted", "held", "refused")
	levels      = label("level", "deny", "hold", "warn")
	flipKinds   = label("kind", "deny_to_allow", "allow_to_deny", "to_error", "from_error")
	reviewSteps = label("step", "static", "evidence", "guards")
	targetTypes = label("target_type", "skill", "mcp", "plugin")
	domains     = label("policy.domain", DomainAdmission, DomainGuardrail, DomainFirewall, DomainSandbox,
		DomainAudit, DomainSkillActions, DomainData)
	admissionVerdicts = []string{"allowed", "blocked", "clean", "rejected", "scan", "warning", VerdictError}

	judgeKinds   = label("judge.kind", "injection", "exfil", "pii")
	judgeActions = []string{"allow", "alert", "block"}
	scanners     = label("scanner", scannerOf("injection"), scannerOf("exfil"), scannerOf("pii"))

	logSinks   = label("sink", "console", "file", "service")
	logReasons = label("reason", "policy", "queue", "drop_policy", "mask_policy", "encoding",
		"console", "file", "buffer", "upload_limit", "refused", "shutdown")

	recorderReasons = label("reason", "policy", "queue", "too_large", "undefined", "drop_policy", "mask_policy", "encoding", "shutdown", "disk")

	workerReasons = label("reason", "died", "killed", "hung", "unready")

	rejections = label("reason", "limit", "address", "room", "no_token", "descriptors")

	decisionBuckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000}
	slowBuckets     = []float64{10, 25, 50, 100, 250, 500, 1000, 2000, 5000, 10000, 30000}
	reloadBuckets   = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
)

func scannerOf(kind string) string { return "llm-judge-" + kind }

// table lists every instrument.
func (m *Metrics) table() []instrument {
	return slices.Concat(policyTable(), reviewTable(), decisionTable(), judgeTable(m.ttl), watchTable(), settingsTable(), recorderTable(), fleetTable(), serviceTable(m.cfg.Routes))
}

func policyTable() []instrument {
	return []instrument{
		{name: policyReloads, unit: "{reload}", kind: counter, labels: product(statuses),
			help: "Policy reload attempts by result. An attempt that finds nothing changed counts as a success; " +
				"a restored policy of an earlier run is no reload, and counts as neither."},
		{name: policyReloadDuration, unit: "s", kind: histogram, buckets: reloadBuckets,
			labels: product(triggers, label("policy.status", StatusSuccess, StatusUnchanged, StatusFailed)),
			help:   "Duration of policy reload attempts, by trigger and result."},
		{name: "defenseclaw.policy.last_reload.successful", kind: gauge,
			read: func(now *moment, set setter) { set(bool01(now.reloads.ok)) },
			help: "1 if the last policy reload attempt succeeded, otherwise 0. 0 before the first attempt."},
		{name: "defenseclaw.policy.last_reload.success.timestamp", unit: "s", kind: gauge,
			read: func(now *moment, set setter) { set(unix(now.reloads.succeededAt)) },
			help: "Unix time of the last successful policy reload. 0 before the first."},
		{name: "defenseclaw.policy.generation", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Generation)) },
			help: "Number of the generation in service. 0 if there is none."},
		{name: "defenseclaw.policy.state", kind: gauge, labels: product(states),
			read: func(now *moment, set setter) { oneHot(states, now.State, set) },
			help: "State of the policy in service: 1 for the current state, 0 for the others."},
		{name: "defenseclaw.policy.stale.duration", unit: "s", kind: gauge,
			read: func(now *moment, set setter) { set(now.stale().Seconds()) },
			help: "How long the policy directory has held a policy that does not load, while an older one is in service. 0 when it loads."},
		{name: "defenseclaw.policy.control", kind: gauge, labels: product(controls),
			read: func(now *moment, set setter) { oneHot(controls, now.Control, set) },
			help: "What holds the policy in service: 1 for the current mode, 0 for the others. All are 0 without a policy directory."},
		{name: "defenseclaw.policy.expired", kind: gauge,
			read: func(now *moment, set setter) { set(bool01(now.Expired)) },
			help: "1 while no decisions are made because the policy directory has been broken for longer than safety.max_stale, else 0."},
		{name: "defenseclaw.source.age", unit: "s", kind: gauge,
			read: func(now *moment, set setter) { set(now.Source.Age.Seconds()) },
			help: "How long ago the request was sent that the source of the policy answered last, or the start if it has not yet. 0 for a directory."},
		{name: "defenseclaw.source.stale", kind: gauge,
			read: func(now *moment, set setter) { set(bool01(now.Source.Stale)) },
			help: "1 while the source of the policy has not answered for longer than source.stale, else 0."},
		{name: "defenseclaw.policy.confirm.deadline.timestamp", unit: "s", kind: gauge,
			read: func(now *moment, set setter) { set(unix(now.Deadline)) },
			help: "Unix time at which the policy in service gives way to the one before, unless it is confirmed. 0 when nothing waits."},
	}
}

func reviewTable() []instrument {
	return []instrument{
		{name: policyReviews, unit: "{review}", kind: counter, labels: product(verdicts),
			help: "Reviews of policy changes by verdict. A review that was dropped for a newer change counts as none."},
		{name: policyReviewDuration, unit: "s", kind: histogram, buckets: reloadBuckets, labels: product(reviewSteps),
			help: "Duration of the steps of reviews."},
		{name: policyReviewFlips, unit: "{decision}", kind: counter, labels: product(flipKinds),
			help: "Recorded decisions that reviewed changes answer otherwise, by kind; other are those whose answer is neither allow nor deny."},
		{name: "defenseclaw.reviewer.up", kind: gauge,
			read: func(now *moment, set setter) { set(bool01(now.Workers.Reviewer)) },
			help: "1 while the process that evaluates changes runs, otherwise 0: it is started when a change needs it."},
		{name: "defenseclaw.reviewer.restarts", unit: "{process}", kind: observedCounter,
			read: func(now *moment, set setter) { set(float64(now.Workers.ReviewerRestarts)) },
			help: "Starts of that process after an end that nobody wanted."},
		{name: policyFindings, unit: "{finding}", kind: counter, labels: product(levels),
			help: "Findings of reviews by level."},
	}
}

func decisionTable() []instrument {
	verdicts := func(domain string, values ...string) []labelSpec {
		return []labelSpec{label("policy.domain", domain), label("policy.verdict", append(values, VerdictError)...)}
	}
	return []instrument{
		{name: policyEvaluations, unit: "{evaluation}", kind: counter, labels: [][]labelSpec{
			{label("policy.domain", DomainAdmission), label("policy.verdict", admissionVerdicts...)},
			verdicts(DomainGuardrail, "allow", "alert", "block", "confirm", "deny", "redact"),
			verdicts(DomainFirewall, "allow", "deny"),
			verdicts(DomainSandbox, "allow", "restrict"),
			verdicts(DomainAudit, "retain", "expire"),
			verdicts(DomainSkillActions, "allow", "block"),
			verdicts(DomainData, VerdictDefined, VerdictUndefined),
		}, help: "Policy decisions by domain and verdict. The domain data is OPA's own API."},
		{name: policyLatency, unit: "ms", kind: histogram, buckets: decisionBuckets, labels: product(domains),
			help: "Duration of policy decisions by domain, from the parsed input to the verdict."},
		{name: admissionDecisions, unit: "{decision}", kind: counter,
			labels: product(label("decision", admissionVerdicts...), label("source", "api"), targetTypes),
			help:   "Admission decisions by verdict and target type."},
		{name: "defenseclaw.policy.programs.decisions", unit: "{decision}", kind: observedCounter,
			labels: product(label("outcome", "program", "opa", "compared", "differed")),
			read: func(now *moment, set setter) {
				set(float64(now.Programs.Decisions-min(now.Programs.Asked, now.Programs.Decisions)), "program")
				set(float64(now.Programs.Asked), "opa")
				set(float64(now.Programs.Compared), "compared")
				set(float64(now.Programs.Differed), "differed")
			},
			help: "Decisions that compiled programs made, and left to OPA's evaluator; those that were also made by it, and with another answer."},
		{name: blockLatency, unit: "ms", kind: histogram, buckets: slowBuckets, labels: product(targetTypes),
			help: "Duration of admission decisions that blocked or rejected the target, by target type."},
	}
}

func judgeTable(ttl string) []instrument {
	cache, bucket := label("cache", "verdict"), label("ttl_bucket", ttl)
	return []instrument{
		{name: cacheHits, unit: "{hit}", kind: counter, labels: product(cache, scanners, label("verdict", judgeActions...), bucket),
			help: "Judge verdict cache hits."},
		{name: cacheMisses, unit: "{miss}", kind: counter, labels: product(cache, scanners, label("verdict", "none"), bucket),
			help: "Judge verdict cache misses."},
		{name: judgeInvocations, unit: "{invocation}", kind: counter, labels: [][]labelSpec{
			{judgeKinds, label("judge.action", judgeActions...), label("judge.severity", "NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL")},
			{judgeKinds, label("judge.action", VerdictError), label("judge.severity", "NONE")},
		}, help: "Judge calls by kind, action and severity. A call without a verdict has the action error."},
		{name: judgeLatency, unit: "ms", kind: histogram, buckets: slowBuckets, labels: product(judgeKinds),
			help: "Duration of judge calls by kind."},
		{name: judgeErrors, unit: "{error}", kind: counter,
			labels: product(judgeKinds, label("judge.reason", "busy", "timeout", "unreachable", "status", "too_large",
				"truncated", "refused", "malformed", "panic", "canceled")),
			help: "Judge questions without a verdict, by kind and reason. docs/how-to/judge.md lists what to do for each reason."},
	}
}

func watchTable() []instrument {
	modes := label("watch.mode", "notify", "poll", "off")
	states := label("watch.state", "starting", "watching", "root-missing", "stopped", "off")
	return []instrument{
		{name: "defenseclaw.watch.mode", kind: gauge, labels: product(modes),
			read: func(now *moment, set setter) { oneHot(modes, now.Watch.Mode, set) },
			help: "How changes to the policy directory are detected: 1 for the mode in use, 0 for the others."},
		{name: "defenseclaw.watch.state", kind: gauge, labels: product(states),
			read: func(now *moment, set setter) { oneHot(states, now.Watch.State, set) },
			help: "State of the watch: 1 for the current state, 0 for the others."},
		{name: "defenseclaw.watch.directories", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Watch.Directories)) },
			help: "Number of watched directories."},
		{name: "defenseclaw.watch.events", unit: "{event}", kind: observedCounter,
			read: func(now *moment, set setter) { set(float64(now.Watch.Events)) },
			help: "Events for policy files and directories that the watch received."},
		{name: "defenseclaw.watch.events.dropped", unit: "{event}", kind: observedCounter,
			read: func(now *moment, set setter) { set(float64(now.Watch.Dropped)) },
			help: "Times the watch lost events or met an error. A full scan follows each."},
		{name: "defenseclaw.watch.last_scan.timestamp", unit: "s", kind: gauge,
			read: func(now *moment, set setter) { set(unix(now.Watch.LastScan)) },
			help: "Unix time of the last full scan of the policy directory. 0 before the first."},
	}
}

func settingsTable() []instrument {
	statuses := label("config.status", "applied", "refused")
	return []instrument{
		{name: "defenseclaw.config.updates", unit: "{update}", kind: observedCounter, labels: product(statuses),
			read: func(now *moment, set setter) {
				set(float64(now.Settings.Applied), "applied")
				set(float64(now.Settings.Refused), "refused")
			},
			help: "Changes of config.yaml while the sidecar runs, by result."},
		{name: "defenseclaw.config.refused", kind: gauge,
			read: func(now *moment, set setter) { set(bool01(now.Settings.Broken)) },
			help: "1 while the newest config.yaml is refused and the settings before it are in force, else 0."},
		{name: "defenseclaw.config.restart_needed", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Settings.Waiting)) },
			help: "Settings that changed in config.yaml and take effect after a restart."},
	}
}

func recorderTable() []instrument {
	return []instrument{
		{name: "defenseclaw.recorder.records", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Recorder.Records)) },
			help: "Recorded decisions that are held."},
		{name: "defenseclaw.recorder.strata", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Recorder.Strata)) },
			help: "Kinds of decisions among the recorded ones: by path, result, the clauses that held and the shape of the input."},
		{name: "defenseclaw.recorder.bytes", unit: "By", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Recorder.Bytes)) },
			help: "Size of the recorded decisions in memory."},
		{name: "defenseclaw.recorder.dropped", unit: "{decision}", kind: observedCounter, labels: product(recorderReasons),
			read: func(now *moment, set setter) { each(recorderReasons, now.Recorder.Dropped, set) },
			help: "Decisions that were chosen to be recorded and are not, by reason. docs/how-to/record-decisions.md lists what to do for each reason."},
	}
}

func serviceTable(routes []string) []instrument {
	codes := label("code")
	for _, code := range declaredCodes {
		codes.values = append(codes.values, strconv.Itoa(code))
	}
	return []instrument{
		{name: "defenseclaw.audit.events.total", unit: "{event}", kind: observedCounter,
			read: func(now *moment, set setter) { set(float64(now.Audit.Written)) },
			help: "Audit records written."},
		{name: "defenseclaw.audit.lost", unit: "{event}", kind: observedCounter,
			read: func(now *moment, set setter) { set(float64(now.Audit.Lost)) },
			help: "Audit records lost because they could not be written."},
		{name: "defenseclaw.audit.backlog", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Audit.Backlog)) },
			help: "Audit records waiting to be written."},
		{name: "defenseclaw.audit.alarms", unit: "{event}", kind: observedCounter,
			read: func(now *moment, set setter) { set(float64(now.Audit.Alarms)) },
			help: "Faults of the audit log itself: a database that was replaced or changed by others, lost records, records removed before their age."},
		{name: "defenseclaw.audit.removed_early", unit: "{event}", kind: observedCounter,
			read: func(now *moment, set setter) { set(float64(now.Audit.Early)) },
			help: "Audit records removed for audit.max_bytes that were younger than audit.max_age."},
		{name: "defenseclaw.decision_log.written", unit: "{event}", kind: observedCounter, labels: product(logSinks),
			read: func(now *moment, set setter) { each(logSinks, now.Decisions.Written, set) },
			help: "Decision log events delivered, by sink. The service has accepted those of its sink."},
		{name: "defenseclaw.decision_log.dropped", unit: "{event}", kind: observedCounter, labels: product(logReasons),
			read: func(now *moment, set setter) { each(logReasons, now.Decisions.Dropped, set) },
			help: "Decision log events not delivered, by reason. docs/reference/decision-log.md lists what to do for each reason."},
		{name: httpRequests, unit: "{request}", kind: counter, labels: product(label("route", routes...), codes),
			help: "HTTP requests answered, by route and status code."},
		{name: "defenseclaw.connections.open", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Connections.Open)) },
			help: "Open connections of all listeners."},
		{name: "defenseclaw.connections.rejected", unit: "{connection}", kind: observedCounter, labels: product(rejections),
			read: func(now *moment, set setter) { each(rejections, now.Connections.Rejected, set) },
			help: "Connections that were refused or closed early, by reason. docs/reference/errors/running.md lists what to do for each reason."},
		{name: "defenseclaw.workers.running", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Workers.Running)) },
			help: "Worker processes that are ready to evaluate. 0 while no query is asked."},
		{name: "defenseclaw.workers.ended", unit: "{process}", kind: observedCounter, labels: product(workerReasons),
			read: func(now *moment, set setter) { each(workerReasons, now.Workers.Ended, set) },
			help: "Worker processes that ended and were replaced, by reason. docs/reference/errors/running.md lists what to do for each reason."},
		{name: "defenseclaw.workers.refused", unit: "{evaluation}", kind: observedCounter,
			read: func(now *moment, set setter) { set(float64(now.Workers.Refused)) },
			help: "Evaluations that were refused because their input had ended several workers."},
		{name: "defenseclaw.build.info", kind: gauge,
			read:   func(now *moment, set setter) { set(1, now.build[:]...) },
			labels: product(label("version"), label("go_version"), label("platform")),
			help:   "Version of the running program. Always 1."},
	}
}

func bool01(b bool) float64 {
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

func each(l labelSpec, counts map[string]uint64, set setter) {
	for _, v := range l.values {
		set(float64(counts[v]), v)
	}
}

func oneHot(l labelSpec, current string, set setter) {
	for _, v := range l.values {
		set(bool01(v == current), v)
	}
}
