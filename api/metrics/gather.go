package metrics

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
)

// finisher makes of the histograms what Prometheus's users expect and OpenTelemetry's SDK does not
// give: every series there from the start, and times in seconds. The names that this program shares
// with the systems before it have times in milliseconds, and keep them where OpenTelemetry reads them.
type finisher struct {
	inner      prometheus.Gatherer
	histograms map[string]*finished // by the name that comes from inside
}

// finished is how a histogram's family is finished.
type finished struct {
	name    string
	help    string
	divisor float64
	series  [][]*dto.LabelPair
	buckets []float64
}

func newFinisher(inner prometheus.Gatherer, table []instrument) (*finisher, error) {
	f := &finisher{inner: inner, histograms: map[string]*finished{}}
	for _, row := range table {
		if row.kind != histogram {
			continue
		}
		name, err := prometheusName(row)
		if err != nil {
			return nil, err
		}
		h := &finished{name: name, help: row.help, divisor: 1, buckets: row.buckets}
		if row.unit == "ms" {
			h.name, h.divisor = strings.TrimSuffix(name, "milliseconds")+"seconds", 1000
		}
		for values := range row.known() {
			var pairs []*dto.LabelPair
			for i, l := range row.labels[0] {
				pairs = append(pairs, &dto.LabelPair{Name: new(promLabel(l.key)), Value: new(values[i])})
			}
			slices.SortFunc(pairs, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
			h.series = append(h.series, pairs)
		}
		f.histograms[name] = h
	}
	return f, nil
}

// prometheusName is how Prometheus's exporter names the instrument, its unit converted or not.
func prometheusName(row instrument) (string, error) {
	kinds := map[kind]otlptranslator.MetricType{
		counter: otlptranslator.MetricTypeMonotonicCounter, total: otlptranslator.MetricTypeMonotonicCounter,
		histogram: otlptranslator.MetricTypeHistogram, gauge: otlptranslator.MetricTypeGauge,
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	name, err := namer.Build(otlptranslator.Metric{Name: row.name, Unit: row.unit, Type: kinds[row.kind]})
	if err != nil {
		return "", fmt.Errorf("name %s for Prometheus: %w", row.name, err)
	}
	return name, nil
}

func promLabel(key string) string { return strings.ReplaceAll(key, ".", "_") }

// Gather is [prometheus.Gatherer]'s.
func (f *finisher) Gather() ([]*dto.MetricFamily, error) {
	families, err := f.inner.Gather()
	seen := map[string]bool{}
	for _, family := range families {
		if h, ok := f.histograms[family.GetName()]; ok {
			seen[family.GetName()] = true
			h.finish(family)
		}
	}
	for name, h := range f.histograms {
		if !seen[name] {
			family := &dto.MetricFamily{Type: dto.MetricType_HISTOGRAM.Enum(), Help: new(h.help)}
			h.finish(family)
			families = append(families, family)
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, err
}

// finish converts what was measured and adds what was not, at 0.
func (h *finished) finish(family *dto.MetricFamily) {
	family.Name = new(h.name)
	measured := map[string]bool{}
	for _, m := range family.GetMetric() {
		measured[labelsText(m.GetLabel())] = true
		m.Histogram.SampleSum = new(m.Histogram.GetSampleSum() / h.divisor)
		for _, b := range m.Histogram.GetBucket() {
			b.UpperBound = new(b.GetUpperBound() / h.divisor)
			if b.Exemplar != nil {
				b.Exemplar.Value = new(b.Exemplar.GetValue() / h.divisor)
			}
		}
	}
	for _, labels := range h.series {
		if measured[labelsText(labels)] {
			continue
		}
		zero := &dto.Histogram{SampleCount: new(uint64(0)), SampleSum: new(0.0)}
		for _, bound := range h.buckets {
			zero.Bucket = append(zero.Bucket, &dto.Bucket{CumulativeCount: new(uint64(0)), UpperBound: new(bound / h.divisor)})
		}
		family.Metric = append(family.Metric, &dto.Metric{Label: labels, Histogram: zero})
	}
	slices.SortFunc(family.Metric, func(a, b *dto.Metric) int {
		return strings.Compare(labelsText(a.GetLabel()), labelsText(b.GetLabel()))
	})
}

// labelsText tells series of one family apart; the labels are sorted by name.
func labelsText(labels []*dto.LabelPair) string {
	var text strings.Builder
	for _, l := range labels {
		text.WriteString(l.GetValue() + "\x00")
	}
	return text.String()
}
