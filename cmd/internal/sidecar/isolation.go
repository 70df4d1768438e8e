package sidecar

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"defenseclaw/api"
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
	pacer := gcpacer.New(func(name string) string {
		if name == "GOMEMLIMIT" {
			return "the worker's own"
		}
		return os.Getenv(name)
	})
	defer pacer.Release()
	serve := sync.OnceFunc(pacer.Serve)
	return worker.Serve(func(g *engine.Generation) http.Handler {
		serve() // the first load has ended
		return opa.Evaluating(g)
	})
}

// isolation is what is evaluated in processes of their own.
type isolation int

const (
	isolateNothing isolation = iota
	isolateQueries           // what callers write
	isolateAll               // decisions, too
)

func (s *Sidecar) isolation() isolation {
	set := s.cfg.Settings
	switch {
	case set.ValidateOnly:
		return isolateNothing
	case set.Isolation == "process":
		return isolateAll
	case set.Isolation == "queries", set.Isolation == "auto" && runtime.GOOS == "linux":
		return isolateQueries
	default:
		return isolateNothing
	}
}

// makeWorkers makes the pool of worker processes, unless isolation is off.
func (s *Sidecar) makeWorkers() (err error) {
	if s.isolation() == isolateNothing {
		return nil
	}
	s.workers, err = worker.New(s.workerConfig())
	return err
}

func (s *Sidecar) workerConfig() worker.Config {
	set := s.cfg.Settings
	idle := set.WorkerIdle
	if s.isolation() == isolateAll {
		idle = 0 // every decision needs them
	}
	return worker.Config{
		Current: func() *engine.Generation { return s.engine.Current() }, // made after the workers
		Timeout: set.DecisionTimeout, Decisions: set.MaxDecisions, AnswerBytes: set.MaxAnswerBytes,
		NoPrograms: !set.Programs, DecisionBytes: set.MaxDecisionBytes,
		MemoryBytes: cmp.Or(set.WorkerBytes, max(minWorkerBytes, int64(gcpacer.Memory()/workerPart))), Idle: idle, Ended: s.reportWorker,
	}
}

// elsewhere is the pool for the API; nil without isolation.
func (s *Sidecar) elsewhere() opa.Elsewhere {
	if s.workers == nil {
		return nil
	}
	return s.workers.RoundTrip
}

// decideElsewhere is the pool for the engine; nil unless all decisions are isolated.
func (s *Sidecar) decideElsewhere() engine.Elsewhere {
	if s.isolation() != isolateAll {
		return nil
	}
	return s.workers.Evaluate
}

// unready is why the sidecar is not ready although a policy serves: no decisions can be made, or what is recorded has no place yet.
func (s *Sidecar) unready() error {
	select {
	case <-s.onRecord:
	default:
		return errors.New("the start is not on record yet: the audit log is being opened")
	}
	if s.isolation() == isolateAll && s.workers.Health().Processes == 0 {
		return errors.New("no worker is ready to make decisions")
	}
	return nil
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
	s.workerEnd.Store(&api.WorkerEnd{At: time.Now(), Reason: string(e.Reason), Detail: e.Detail})
	s.cfg.Logger.Error("a worker ended and is replaced",
		zap.String("reason", string(e.Reason)), zap.String("detail", e.Detail), zap.Any("evaluating", e.Inputs))
}

// workersStatus is nil without isolation.
func (s *Sidecar) workersStatus() *api.WorkersStatus {
	if s.workers == nil {
		return nil
	}
	evaluate := "queries"
	if s.isolation() == isolateAll {
		evaluate = "everything"
	}
	now := s.workers.Health()
	return &api.WorkersStatus{Evaluate: evaluate, Running: now.Processes, Ended: now.Ended, Refused: now.Refused, Last: s.workerEnd.Load()}
}

func (s *Sidecar) workerHealth() (h metrics.Workers) {
	if s.workers != nil {
		now := s.workers.Health()
		h = metrics.Workers{Running: now.Processes, Ended: now.Ended, Refused: now.Refused}
	}
	if s.evaluations != nil {
		now := s.evaluations.process.Health()
		h.Reviewer, h.ReviewerRestarts = now.Up, now.Restarts
	}
	return h
}
