package metrics

// fleetTable is of a source that is a channel of a fleet. No label names an agent or a revision: both are unbounded.
func fleetTable() []instrument {
	results := label("result", "applied", "unchanged", "replay", "bad_signature", "future", "expired", "format", "wrong_hash", "missing", "limits", "refused")
	kinds := label("kind", "push", "delta", "snapshot")
	sent := label("result", "sent", "failed")
	return []instrument{
		{name: "defenseclaw.fleet.epoch", kind: gauge,
			read: func(now *moment, set setter) { set(float64(now.Fleet.Epoch)) },
			help: "Epoch of the newest record of the channel. 0 before the first."},
		{name: "defenseclaw.fleet.connected", kind: gauge,
			read: func(now *moment, set setter) { set(bool01(now.Fleet.Connected)) },
			help: "1 while there is a connection to a server of the channel, otherwise 0."},
		{name: "defenseclaw.fleet.records", unit: "{record}", kind: observedCounter, labels: product(results),
			read: func(now *moment, set setter) { setAll(set, results, now.Fleet.Records) },
			help: "Records of the channel by what came of them. A replay is older than one that was taken."},
		{name: "defenseclaw.fleet.bytes", unit: "By", kind: observedCounter, labels: product(kinds),
			read: func(now *moment, set setter) { setAll(set, kinds, now.Fleet.Bytes) },
			help: "Bytes that the channel sent, by kind."},
		{name: "defenseclaw.fleet.acks", unit: "{acknowledgement}", kind: observedCounter, labels: product(sent),
			read: func(now *moment, set setter) { setAll(set, sent, now.Fleet.Acks) },
			help: "Acknowledgements that the channel took, and that it did not."},
	}
}

// setAll sets a series for each declared value of the one label.
func setAll(set setter, of labelSpec, counts map[string]uint64) {
	for _, value := range of.values {
		set(float64(counts[value]), value)
	}
}

// Decisions are those that were made since the start.
type Decisions struct {
	All    uint64
	Errors uint64
	Denied uint64 // by a verdict of the policy; those of OPA's own API have none
}

// Decisions counts them. It takes microseconds, and no decision waits for it.
func (m *Metrics) Decisions() (d Decisions) {
	for values, s := range m.evaluations.resolved {
		n := uint64(max(s.count.Load(), 0)) //nolint:gosec // it is not negative
		d.All += n
		switch values[1] {
		case VerdictError:
			d.Errors += n
		case "blocked", "rejected", "block", "deny":
			d.Denied += n
		}
	}
	return d
}
