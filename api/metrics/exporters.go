package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	prombridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// OpenTelemetry's package autoexport chooses by the same variables. It is not used because it brings the exporters of
// logs, which this program has none of, into the binary.

var errProtocol = errors.New("expected the protocol grpc or http/protobuf")

// newSpanExporter is the exporter of traces that the OTEL_ variables ask for.
func newSpanExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	switch os.Getenv("OTEL_TRACES_EXPORTER") {
	case "", "otlp":
	case "console":
		return stdouttrace.New()
	default:
		return nil, errors.New("expected the exporter otlp, console or none")
	}
	switch protocol("TRACES") {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	default:
		return nil, errProtocol
	}
}

// newMetricReader is the reader, with its exporter, that the OTEL_ variables ask for metrics. It is one beside /metrics.
func newMetricReader(ctx context.Context) (sdkmetric.Reader, error) {
	var options []sdkmetric.PeriodicReaderOption
	if producers := os.Getenv("OTEL_METRICS_PRODUCERS"); producers != "" {
		for _, producer := range slices.Compact(slices.Sorted(strings.SplitSeq(producers, ","))) {
			switch producer {
			case "prometheus":
				options = append(options, sdkmetric.WithProducer(prombridge.NewMetricProducer()))
			case "none":
			default:
				return nil, fmt.Errorf("OTEL_METRICS_PRODUCERS=%s: expected prometheus or none", producers)
			}
		}
	}
	exporter, err := newMetricExporter(ctx)
	if err != nil {
		return nil, err
	}
	if exporter == nil {
		return servePrometheus(ctx)
	}
	return sdkmetric.NewPeriodicReader(exporter, options...), nil
}

// newMetricExporter is nil where Prometheus is to scrape.
func newMetricExporter(ctx context.Context) (sdkmetric.Exporter, error) {
	switch os.Getenv("OTEL_METRICS_EXPORTER") {
	case "", "otlp":
	case "console":
		return stdoutmetric.New()
	case "prometheus":
		return nil, nil //nolint:nilnil // as documented
	default:
		return nil, errors.New("expected the exporter otlp, console, prometheus or none")
	}
	switch protocol("METRICS") {
	case "grpc":
		return otlpmetricgrpc.New(ctx)
	case "http/protobuf":
		return otlpmetrichttp.New(ctx)
	default:
		return nil, errProtocol
	}
}

// protocol is how OTLP is spoken for the signal, METRICS or TRACES.
func protocol(signal string) string {
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
}

// servePrometheus listens where OpenTelemetry's standard says, and answers /metrics there until the reader is shut down.
func servePrometheus(ctx context.Context) (sdkmetric.Reader, error) {
	registry := prometheus.NewRegistry()
	reader, err := otelprom.New(otelprom.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("exporter for Prometheus: %w", err)
	}
	address := net.JoinHostPort(
		cmp.Or(os.Getenv("OTEL_EXPORTER_PROMETHEUS_HOST"), "localhost"), cmp.Or(os.Getenv("OTEL_EXPORTER_PROMETHEUS_PORT"), "9464"))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen at %s for Prometheus: %w", address, err), reader.Shutdown(ctx))
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	server := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			otel.Handle(fmt.Errorf("serve metrics for Prometheus at %s: %w", address, err))
		}
	}()
	return served{reader, server}, nil
}

// served is a reader with the server that it is read by.
type served struct {
	sdkmetric.Reader
	server *http.Server
}

func (s served) Shutdown(ctx context.Context) error {
	return errors.Join(s.Reader.Shutdown(ctx), s.server.Shutdown(ctx))
}
