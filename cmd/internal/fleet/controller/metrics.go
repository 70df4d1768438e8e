package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/watcher/fleet/record"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are what a controller measures, for all its channels. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	agents   *prometheus.GaugeVec
	stage    *prometheus.GaugeVec
}

// The value of fleet_stage while no rollout runs. Else it is the number of the stage, from 1; 0 while the target is prepared.
const noStage = -1

// NewMetrics makes metrics without values.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		agents: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fleet_agents", Help: "Agents of a channel, by how far they have come with its record.",
		}, []string{"channel", "state"}),
		stage: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fleet_stage", Help: "Stage of the rollout of a channel, from 1; 0 while it is prepared, -1 while none runs.",
		}, []string{"channel"}),
	}
	m.registry.MustRegister(m.agents, m.stage)
	return m
}

// Observe takes over what was seen.
func (m *Metrics) Observe(seen Seen) {
	r := seen.Now.Record()
	if r == nil || seen.View == nil {
		return
	}
	verdict := fleet.Judge(seen.View, fleet.Question{Record: r})
	for _, state := range fleet.Standings() {
		m.agents.WithLabelValues(seen.Now.Channel, string(state)).Set(float64(verdict.Counts[state]))
	}
	stage := noStage
	if r.Plan.Runs() {
		stage = r.Plan.Stage + 1
		if r.State == record.Prepare {
			stage = 0
		}
	}
	m.stage.WithLabelValues(seen.Now.Channel).Set(float64(stage))
}

// Listen opens the listener of metrics, which has to be on this machine: it asks for no token.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil || !at.Addr().IsLoopback() {
		return nil, fmt.Errorf("the address %q: an address of this machine was expected, as 127.0.0.1:9464", addr)
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
}

// Serve answers GET /metrics until ctx ends.
func (m *Metrics) Serve(ctx context.Context, on net.Listener) error {
	const timeout = 10 * time.Second
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: timeout, WriteTimeout: timeout, IdleTimeout: timeout}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // nothing that is answered here has to be waited for
	defer stop()
	if err := server.Serve(on); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
