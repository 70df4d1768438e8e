package metrics

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// other stands for every value of a label that the table does not know.
const other = "other"

// mostLabels is how many labels an instrument has at most.
const mostLabels = 4

// labelValues is the key of a series: its labels' values in the table's order.
type labelValues [mostLabels]string

// series is a series with its attributes resolved, in the form that recording takes without
// allocating.
type series struct {
	values   labelValues
	known    bool         // from the start
	count    atomic.Int64 // of a counter, which is read when somebody asks: that costs less than the SDK's own
	observed []metric.ObserveOption
	record   []metric.RecordOption
}

// vec is an instrument with its series.
type vec struct {
	instrument
	histogram metric.Float64Histogram
	resolved  map[labelValues]*series
	recent    atomic.Pointer[series] // that was found last: most happenings are like the one before
}

// build makes every instrument of the table.
func (m *Metrics) build(table []instrument) error {
	meter := m.meters.Meter(scope, metric.WithInstrumentationVersion(m.cfg.Version))
	var observed []observer
	for _, row := range table {
		if err := m.buildOne(meter, row, &observed); err != nil {
			return fmt.Errorf("instrument %s: %w", row.name, err)
		}
	}
	instruments := make([]metric.Observable, len(observed))
	for i, o := range observed {
		instruments[i] = o.instrument
	}
	_, err := meter.RegisterCallback(func(_ context.Context, into metric.Observer) error {
		now := &moment{Snapshot: m.cfg.Snapshot(), time: time.Now(), reloads: m.reloads.Load(), build: m.goBuild}
		for _, o := range observed {
			o.observe(now, into)
		}
		return nil
	}, instruments...)
	return err
}

// observer reads one gauge or total.
type observer struct {
	instrument metric.Observable
	observe    func(*moment, metric.Observer)
}

func (m *Metrics) buildOne(meter metric.Meter, row instrument, observed *[]observer) error {
	unit, help := metric.WithUnit(row.unit), metric.WithDescription(row.help)
	switch row.kind {
	case gauge:
		g, err := meter.Float64ObservableGauge(row.name, unit, help)
		*observed = append(*observed, observer{g, func(now *moment, into metric.Observer) {
			row.read(now, func(v float64, values ...string) {
				into.ObserveFloat64(g, v, metric.WithAttributeSet(row.attributes(values)))
			})
		}})
		return err
	case total:
		c, err := meter.Int64ObservableCounter(row.name, unit, help)
		*observed = append(*observed, observer{c, func(now *moment, into metric.Observer) {
			row.read(now, func(v float64, values ...string) {
				into.ObserveInt64(c, int64(v), metric.WithAttributeSet(row.attributes(values)))
			})
		}})
		return err
	}
	v := &vec{instrument: row, resolved: map[labelValues]*series{}}
	m.vecs[row.name] = v
	v.resolve()
	var err error
	if row.kind == histogram {
		v.histogram, err = meter.Float64Histogram(row.name, unit, help, metric.WithExplicitBucketBoundaries(row.buckets...))
		return err
	}
	c, err := meter.Int64ObservableCounter(row.name, unit, help)
	*observed = append(*observed, observer{c, func(_ *moment, into metric.Observer) {
		for _, s := range v.resolved {
			if n := s.count.Load(); n > 0 || s.known {
				into.ObserveInt64(c, n, s.observed...)
			}
		}
	}})
	return err
}

// resolve prepares the series with known labels, which begin at 0, and those with some label folded
// into other, which begin when they happen.
func (v *vec) resolve() {
	n := v.width()
	v.resolveOne(labelValues{}.fold(1<<n-1, n))
	for values := range v.known() {
		for mask := range 1 << n {
			v.resolveOne(values.fold(mask, n))
		}
		v.resolved[values].known = true
	}
}

func (v *vec) resolveOne(values labelValues) {
	if _, ok := v.resolved[values]; !ok {
		set := metric.WithAttributeSet(v.attributes(values[:v.width()]))
		v.resolved[values] = &series{values: values, observed: []metric.ObserveOption{set}, record: []metric.RecordOption{set}}
	}
}

// fold replaces by other the values that mask names: bit 0 is the last of n.
func (l labelValues) fold(mask, n int) labelValues {
	for i := range n {
		if mask&(1<<i) != 0 {
			l[n-1-i] = other
		}
	}
	return l
}

// find gives the series with these labels or, with as few as possible folded, the one that stands
// for it. There is always one: the last has all labels folded.
func (v *vec) find(values []string) *series {
	var key labelValues
	copy(key[:], values)
	if s := v.recent.Load(); s != nil && s.values == key {
		return s
	}
	if s, ok := v.resolved[key]; ok {
		v.recent.Store(s)
		return s
	}
	n := v.width()
	for mask := 1; mask < 1<<n; mask++ {
		if s, ok := v.resolved[key.fold(mask, n)]; ok {
			return s
		}
	}
	return &series{}
}

func (v *vec) add(values ...string) { v.find(values).count.Add(1) }

func (v *vec) took(ctx context.Context, d time.Duration, values ...string) {
	amount := d.Seconds()
	if v.unit == "ms" {
		amount = float64(d) / float64(time.Millisecond)
	}
	v.histogram.Record(ctx, amount, v.find(values).record...)
}

// width is how many labels the instrument has.
func (i *instrument) width() int {
	if len(i.labels) == 0 {
		return 0
	}
	return len(i.labels[0])
}

// known yields the labels of every series that is there from the start.
func (i *instrument) known() func(yield func(labelValues) bool) {
	return func(yield func(labelValues) bool) {
		if len(i.labels) == 0 {
			yield(labelValues{})
		}
		for _, product := range i.labels {
			if !combine(product, 0, labelValues{}, yield) {
				return
			}
		}
	}
}

// combine yields every combination of the values of product from its label at on.
func combine(product []label, at int, values labelValues, yield func(labelValues) bool) bool {
	if at == len(product) {
		return yield(values)
	}
	for _, value := range product[at].values {
		values[at] = value
		if !combine(product, at+1, values, yield) {
			return false
		}
	}
	return true
}

func (i *instrument) attributes(values []string) attribute.Set {
	attributes := make([]attribute.KeyValue, len(values))
	for n, value := range values {
		attributes[n] = attribute.String(i.labels[0][n].key, value)
	}
	return attribute.NewSet(attributes...)
}
