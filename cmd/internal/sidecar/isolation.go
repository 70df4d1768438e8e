package sidecar

import (
	"cmp"
	"context"
	"net/http"
	"runtime"

	"defenseclaw/api/metrics"
	"defenseclaw/api/opa"
	"defenseclaw/cmd/internal/gcpacer"
	"defenseclaw/engine"
	"defenseclaw/worker"

	"go.uber.org/zap"
)

// A worker may use this part of the memory, if the settings do not say otherwise, but at least the minimum: the
// sidecar needs as much again while it reloads, and there are two workers.
const workerPart, minWorkerBytes = 4, 256 << 20

// ServeWorker is the program of a worker.
func ServeWorker() error {
	return worker.Serve(func(g *engine.Generation) http.Handler { return opa.Evaluating(g) })
}

// isolated reports whether queries are evaluated in processes of their own.
func (s *Sidecar) isolated() bool {
	if s.cfg.Settings.ValidateOnly {
		return false
	}
	switch s.cfg.Settings.Isolation {
	case "queries":
		return true
	case "auto":
		return runtime.GOOS == "linux"
	default:
		return false
	}
}

// makeWorkers makes the pool of worker processes, unless isolation is off.
func (s *Sidecar) makeWorkers() (err error) {
	if !s.isolated() {
		return nil
	}
	set := s.cfg.Settings
	s.workers, err = worker.New(worker.Config{
		Current: s.engine.Current, Timeout: set.DecisionTimeout, Decisions: set.MaxDecisions, AnswerBytes: set.MaxAnswerBytes,
		MemoryBytes: cmp.Or(set.WorkerBytes, max(minWorkerBytes, int64(gcpacer.Memory()/workerPart))), Idle: set.WorkerIdle, Ended: s.reportWorker,
	})
	return err
}

// elsewhere is the pool for the API; nil without isolation.
func (s *Sidecar) elsewhere() opa.Elsewhere {
	if s.workers == nil {
		return nil
	}
	return s.workers.RoundTrip
}

// prepareWorkers gives a new generation to the workers that run.
func (s *Sidecar) prepareWorkers(_ context.Context, r engine.Report) error {
	if r.Result == engine.Success {
		s.workers.Prepare(r.Generation)
	}
	return nil
}

// reportWorker logs the end of a worker with what it was evaluating, by its hash: an input may hold secrets.
func (s *Sidecar) reportWorker(e worker.Ended) {
	s.cfg.Logger.Error("a worker ended and is replaced",
		zap.String("reason", string(e.Reason)), zap.String("detail", e.Detail), zap.Any("evaluating", e.Inputs))
}

func (s *Sidecar) workerHealth() (h metrics.Workers) {
	if s.workers != nil {
		now := s.workers.Health()
		h = metrics.Workers{Running: now.Processes, Ended: now.Ended, Refused: now.Refused}
	}
	return h
}
