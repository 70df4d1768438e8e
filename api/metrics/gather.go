package metrics

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
)

// gatherer corrects the histograms of the OpenTelemetry exporter for Prometheus: every predeclared
// series is present from the start, and durations are in seconds. Instruments that this program shares
// with earlier systems are in milliseconds, and OTLP keeps that unit.
type gatherer struct {
	inner      prometheus.Gatherer
	histograms map[string]*histogramFamily // by the name that inner uses
}

// histogramFamily is how a histogram appears on /metrics.
type histogramFamily struct {
	name    string
	help    string
	divisor float64
	series  [][]*dto.LabelPair
	buckets []float64
}

func newGatherer(inner prometheus.Gatherer, table []instrument) (*gatherer, error) {
	g := &gatherer{inner: inner, histograms: map[string]*histogramFamily{}}
	for _, row := range table {
		if row.kind != histogram {
			continue
		}
		name, err := prometheusName(row)
		if err != nil {
			return nil, err
		}
		h := &histogramFamily{name: name, help: row.help, divisor: 1, buckets: row.buckets}
		if row.unit == "ms" {
			h.name, h.divisor = strings.TrimSuffix(name, "milliseconds")+"seconds", 1000
		}
		for values := range row.combinations(false) {
			var pairs []*dto.LabelPair
			for i, l := range row.labels[0] {
				pairs = append(pairs, &dto.LabelPair{Name: new(promLabel(l.key)), Value: new(values[i])})
			}
			slices.SortFunc(pairs, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
			h.series = append(h.series, pairs)
		}
		g.histograms[name] = h
	}
	return g, nil
}

// prometheusName is the name that the OpenTelemetry exporter for Prometheus gives the instrument,
// before the unit is converted.
func prometheusName(row instrument) (string, error) {
	kinds := map[kind]otlptranslator.MetricType{
		counter: otlptranslator.MetricTypeMonotonicCounter, observedCounter: otlptranslator.MetricTypeMonotonicCounter,
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

// Gather implements [prometheus.Gatherer].
func (g *gatherer) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.inner.Gather()
	seen := map[string]bool{}
	for _, family := range families {
		if h, ok := g.histograms[family.GetName()]; ok {
			seen[family.GetName()] = true
			h.complete(family)
		}
	}
	for name, h := range g.histograms {
		if !seen[name] {
			family := &dto.MetricFamily{Type: dto.MetricType_HISTOGRAM.Enum(), Help: new(h.help)}
			h.complete(family)
			families = append(families, family)
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, err
}

// complete converts the measured series and adds the others at 0.
func (h *histogramFamily) complete(family *dto.MetricFamily) {
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

// labelsText identifies a series within its family. The labels must be sorted by name.
func labelsText(labels []*dto.LabelPair) string {
	var text strings.Builder
	for _, l := range labels {
		text.WriteString(l.GetValue() + "\x00")
	}
	return text.String()
}
