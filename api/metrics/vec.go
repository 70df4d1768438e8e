package metrics

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// other is the label value that undeclared values count as.
const other = "other"

// maxLabels is the largest number of labels of an instrument.
const maxLabels = 4

// labelValues is the key of a series: the values of its labels in the table's order.
type labelValues [maxLabels]string

// series is one series of a vec.
type series struct {
	of          *instrument
	values      labelValues
	predeclared bool         // present from the start, at 0
	count       atomic.Int64 // of a counter; an observable instrument reads it, and so allocates nothing either
	options     atomic.Pointer[options]
}

// options are the attributes of a series in the form that records without an allocation (TestADecisionCostsNoAllocation).
type options struct {
	observed []metric.ObserveOption
	record   []metric.RecordOption
}

// with returns the options, which it makes at the first use: most series are never counted, and a start makes them all.
func (s *series) with() *options {
	if o := s.options.Load(); o != nil {
		return o
	}
	set := metric.WithAttributeSet(s.of.attributes(s.values[:s.of.width()]))
	s.options.Store(&options{[]metric.ObserveOption{set}, []metric.RecordOption{set}})
	return s.options.Load()
}

// vec is an instrument with its series.
type vec struct {
	instrument
	histogram metric.Float64Histogram
	resolved  map[labelValues]*series
}

// build makes every instrument of the table.
func (m *Metrics) build(table []instrument) error {
	meter := m.meters.Meter(scope, metric.WithInstrumentationVersion(m.cfg.Version))
	var callbacks []callback
	for _, row := range table {
		if err := m.buildOne(meter, row, &callbacks); err != nil {
			return fmt.Errorf("instrument %s: %w", row.name, err)
		}
	}
	instruments := make([]metric.Observable, len(callbacks))
	for i, c := range callbacks {
		instruments[i] = c.instrument
	}
	_, err := meter.RegisterCallback(func(_ context.Context, into metric.Observer) error {
		now := &moment{Snapshot: m.cfg.Snapshot(), time: time.Now(), reloads: m.reloads.Load(), build: m.goBuild}
		for _, c := range callbacks {
			c.report(now, into)
		}
		return nil
	}, instruments...)
	return err
}

// callback reports an observable instrument at each scrape and export.
type callback struct {
	instrument metric.Observable
	report     func(*moment, metric.Observer)
}

func (m *Metrics) buildOne(meter metric.Meter, row instrument, callbacks *[]callback) error {
	unit, help := metric.WithUnit(row.unit), metric.WithDescription(row.help)
	switch row.kind {
	case gauge:
		g, err := meter.Float64ObservableGauge(row.name, unit, help)
		*callbacks = append(*callbacks, callback{g, func(now *moment, into metric.Observer) {
			row.read(now, func(v float64, values ...string) {
				into.ObserveFloat64(g, v, metric.WithAttributeSet(row.attributes(values)))
			})
		}})
		return err
	case observedCounter:
		c, err := meter.Int64ObservableCounter(row.name, unit, help)
		*callbacks = append(*callbacks, callback{c, func(now *moment, into metric.Observer) {
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
	*callbacks = append(*callbacks, callback{c, func(_ *moment, into metric.Observer) {
		for _, s := range v.resolved {
			if n := s.count.Load(); n > 0 || s.predeclared {
				into.ObserveInt64(c, n, s.with().observed...)
			}
		}
	}})
	return err
}

// resolve makes the series of declared label values, which start at 0, and those with some value folded
// into other, which appear when they are first counted.
func (v *vec) resolve() {
	for values := range v.combinations(true) {
		v.resolveOne(values)
	}
	for values := range v.combinations(false) {
		v.resolved[values].predeclared = true
	}
}

func (v *vec) resolveOne(values labelValues) {
	if _, ok := v.resolved[values]; !ok {
		v.resolved[values] = &series{of: &v.instrument, values: values}
	}
}

// fold replaces the values that mask selects by other. Bit 0 is the last of n values.
func (l labelValues) fold(mask, n int) labelValues {
	for i := range n {
		if mask&(1<<i) != 0 {
			l[n-1-i] = other
		}
	}
	return l
}

// find returns the series with these label values. If there is none, it tries folding values into
// other, the last label first: the series with all values folded always exists.
func (v *vec) find(values []string) *series {
	var key labelValues
	copy(key[:], values)
	n := v.width()
	for mask := range 1 << n {
		if s, ok := v.resolved[key.fold(mask, n)]; ok {
			return s
		}
	}
	return &series{of: &v.instrument}
}

func (v *vec) add(values ...string) { v.find(values).count.Add(1) }

func (v *vec) addN(n int, values ...string) { v.find(values).count.Add(int64(n)) }

// observe records a duration in the histogram, in its unit.
func (v *vec) observe(ctx context.Context, d time.Duration, values ...string) {
	amount := d.Seconds()
	if v.unit == "ms" {
		amount = float64(d) / float64(time.Millisecond)
	}
	v.histogram.Record(ctx, amount, v.find(values).with().record...)
}

// width is the number of labels of the instrument.
func (i *instrument) width() int {
	if len(i.labels) == 0 {
		return 0
	}
	return len(i.labels[0])
}

// combinations yields the label values of every series that is present from the start; folded also yields those with some
// value folded into other.
func (i *instrument) combinations(folded bool) func(yield func(labelValues) bool) {
	return func(yield func(labelValues) bool) {
		if len(i.labels) == 0 {
			yield(labelValues{})
		}
		for _, product := range i.labels {
			if !combine(product, folded, 0, labelValues{}, yield) {
				return
			}
		}
	}
}

// combine yields every combination of the values of the labels from index at on.
func combine(product []labelSpec, folded bool, at int, values labelValues, yield func(labelValues) bool) bool {
	if at == len(product) {
		return yield(values)
	}
	for _, value := range product[at].values {
		values[at] = value
		if !combine(product, folded, at+1, values, yield) {
			return false
		}
	}
	values[at] = other
	return !folded || combine(product, folded, at+1, values, yield)
}

func (i *instrument) attributes(values []string) attribute.Set {
	attributes := make([]attribute.KeyValue, len(values))
	for n, value := range values {
		attributes[n] = attribute.String(i.labels[0][n].key, value)
	}
	return attribute.NewSet(attributes...)
}
