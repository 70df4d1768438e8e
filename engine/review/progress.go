package review

import "context"

// Progress says how far work is that may take long. Total is 0 where nobody knows how much there is to do.
type Progress struct {
	Step        string // what is being done; empty: see [InStep]
	Done, Total int    // in the unit of the step: records of a replay
}

type progressKey struct{}

// WithProgress returns a context in which work tells how far it is: told is called from the goroutine of the work, up to once
// for each record, and must return at once.
func WithProgress(ctx context.Context, told func(Progress)) context.Context {
	return context.WithValue(ctx, progressKey{}, told)
}

// InStep returns a context in which progress that names no step is that of a step, and says that it begins. Without anybody
// to tell, it is ctx.
func InStep(ctx context.Context, step string) context.Context {
	told := ProgressOf(ctx)
	if told == nil {
		return ctx
	}
	told(Progress{Step: step})
	return WithProgress(ctx, func(p Progress) {
		if p.Step == "" {
			p.Step = step
		}
		told(p)
	})
}

// ProgressOf is what the work of a context tells how far it is; nil: nobody asked.
func ProgressOf(ctx context.Context) func(Progress) {
	told, _ := ctx.Value(progressKey{}).(func(Progress))
	return told
}
