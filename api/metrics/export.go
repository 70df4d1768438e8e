package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// flushTimeout bounds the last export to a collector.
const flushTimeout = 5 * time.Second

// export makes the meter and tracer providers and their exporters: Prometheus always, others as the
// OTEL_ variables ask.
func (m *Metrics) export(table []instrument) error {
	m.registry = prometheus.NewRegistry()
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if m.cfg.Bundles != nil {
		m.registry.MustRegister(bundles{m.cfg.Bundles})
	}
	gatherer, err := newGatherer(m.registry, table)
	if err != nil {
		return err
	}
	m.gatherer = gatherer
	scraped, err := otelprom.New(otelprom.WithRegisterer(m.registry), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo(),
		otelprom.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes))
	if err != nil {
		return fmt.Errorf("exporter for Prometheus: %w", err)
	}
	about, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "defenseclaw-gateway"), attribute.String("service.version", m.cfg.Version)),
		resource.WithFromEnv()) // last: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override the others
	if err != nil {
		return fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	m.reader = scraped
	options := []sdkmetric.Option{sdkmetric.WithReader(scraped), sdkmetric.WithResource(about)}

	m.tracer = noop.NewTracerProvider().Tracer(scope)
	traced, err := requested("TRACES")
	if err != nil {
		return err
	}
	if traced {
		exporter, err := newSpanExporter(context.Background())
		if err != nil {
			return fmt.Errorf("export traces as the OTEL_ variables say (%s): %w", environment("TRACES"), err)
		}
		m.spans = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
		m.tracer = m.spans.Tracer(scope)
	} else { // without traces an exemplar has nothing to refer to
		options = append(options, sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	}

	pushed, err := requested("METRICS")
	if err != nil {
		return errors.Join(err, m.shutdown())
	}
	if pushed {
		reader, err := newMetricReader(context.Background())
		if err != nil {
			err = fmt.Errorf("export metrics as the OTEL_ variables say (%s): %w", environment("METRICS"), err)
			return errors.Join(err, m.shutdown())
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	m.meters = sdkmetric.NewMeterProvider(options...)
	return nil
}

// requested reports whether the environment requests an export of the signal, TRACES or METRICS, by
// naming an exporter or the address of a collector. The libraries' default, a collector on this machine,
// does not apply: nothing is sent without a request.
func requested(signal string) (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	named := false
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT"} {
		address := os.Getenv(name)
		if address == "" {
			continue
		}
		// The exporters would only log this, and use their default.
		if u, err := url.Parse(address); err != nil || u.Host == "" && !strings.HasPrefix(u.Scheme, "unix") {
			return false, fmt.Errorf("%s=%s: not a URL such as http://localhost:4318", name, address)
		}
		named = true
	}
	if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return exporter != "none", nil
	}
	return named, nil
}

// environment lists the variables that select the signal's exporter, for error texts.
func environment(signal string) string {
	var set []string
	for _, name := range []string{"OTEL_" + signal + "_EXPORTER", "OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if value := os.Getenv(name); value != "" {
			set = append(set, name+"="+value)
		}
	}
	return strings.Join(set, " ")
}

// Handler answers GET /metrics in Prometheus's text format, or in OpenMetrics when that is asked for.
// It includes metrics of the Go runtime and of the process.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.gatherer, promhttp.HandlerOpts{
		EnableOpenMetrics: true,
		ErrorHandling:     promhttp.ContinueOnError,
		ErrorLog:          errorLog{m.cfg.OnError},
	})
}

// errorLog implements promhttp.Logger.
type errorLog struct{ report func(error) }

func (l errorLog) Println(v ...any) {
	if l.report != nil {
		l.report(errors.New(strings.TrimSuffix(fmt.Sprintln(v...), "\n")))
	}
}

// Run keeps what [Metrics.Activity] tells until ctx ends, then exports what is still pending, within five seconds, and stops
// the exporters. Nothing is measured after that. Call it once. An error
// means that the last metrics could not be sent; traces that could not are reported to [Config.OnError].
func (m *Metrics) Run(ctx context.Context) error {
	m.activity.run(ctx)
	return m.shutdown()
}

// shutdown stops both exports concurrently, so that neither uses up the other's time.
func (m *Metrics) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), m.flush)
	defer cancel()
	var both sync.WaitGroup
	var spansErr, metersErr error
	if m.spans != nil {
		both.Go(func() {
			if err := m.spans.Shutdown(ctx); err != nil {
				spansErr = fmt.Errorf("export the last traces: %w", err)
			}
		})
	}
	if m.meters != nil {
		both.Go(func() {
			if err := m.meters.Shutdown(ctx); err != nil {
				metersErr = fmt.Errorf("export the last metrics: %w", err)
			}
		})
	}
	both.Wait()
	return errors.Join(spansErr, metersErr)
}
