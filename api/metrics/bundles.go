package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Bundle is how it goes with one bundle that is followed.
type Bundle struct {
	Revision  string            // of what serves, as its manifest calls it
	Loaded    uint64            // versions that began to serve
	Failed    map[string]uint64 // versions that did not, by the stage that refused them
	Requested time.Time         // these four are zero before the first
	Answered  time.Time
	Fetched   time.Time
	Activated time.Time
}

// bundles are the metrics by which OPA's dashboards know bundles: their names and units are OPA's.
type bundles struct{ read func() map[string]Bundle }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"name"}, labels...), nil)
}

var (
	bundleLoaded    = desc("bundle_loaded_counter", "Versions of the bundle that began to serve.")
	bundleFailed    = desc("bundle_failed_load_counter", "Versions of the bundle that were refused, by the stage that refused them.", "code", "message")
	bundleRequested = desc("last_bundle_request", "Unix time in nanoseconds of the last request for the bundle.")
	bundleAnswered  = desc("last_success_bundle_request", "Unix time in nanoseconds of the last request for the bundle that was answered.")
	bundleFetched   = desc("last_success_bundle_download", "Unix time in nanoseconds of the last version of the bundle that came whole.")
	bundleActivated = desc("last_success_bundle_activation", "Unix time in nanoseconds at which the version of the bundle that serves began to.", "active_revision")
)

// Describe is a [prometheus.Collector]'s.
func (bundles) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{bundleLoaded, bundleFailed, bundleRequested, bundleAnswered, bundleFetched, bundleActivated} {
		to <- d
	}
}

// Collect is a [prometheus.Collector]'s.
func (c bundles) Collect(to chan<- prometheus.Metric) {
	for name, b := range c.read() {
		count := func(d *prometheus.Desc, n uint64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{name}, labels...)...)
		}
		at := func(d *prometheus.Desc, t time.Time, labels ...string) {
			if !t.IsZero() {
				to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(t.UnixNano()), append([]string{name}, labels...)...)
			}
		}
		count(bundleLoaded, b.Loaded)
		for stage, n := range b.Failed {
			count(bundleFailed, n, "bundle_error", stage)
		}
		at(bundleRequested, b.Requested)
		at(bundleAnswered, b.Answered)
		at(bundleFetched, b.Fetched)
		at(bundleActivated, b.Activated, b.Revision)
	}
}
