package bus

import (
	"log/slog"
	"sync/atomic"
)

// Step is what is done to a bus on which nobody answers.
type Step struct {
	Name string // in metrics, and in the log
	Does string // for the log: what is done
	// Take does it while the transport is closed, on the goroutine that has the bus; it may
	// block. After an error the transport is opened all the same.
	Take func() error
}

// Recovery counts a step.
type Recovery struct {
	Taken  atomic.Int64
	Helped atomic.Int64 // how often somebody answered then
}

// recovery is what a bus does when nobody answers. First it only opens its transport anew;
// then it takes the further steps, one before each further opening, over and over. Only the
// first round is logged: an outage may be long.
type recovery struct {
	steps []step
	mute  bool // nobody has answered: the next step is to be taken
	taken int  // steps since somebody answered
}

type step struct {
	Step
	*Recovery
}

func newRecovery() recovery {
	return recovery{steps: []step{{Step{Name: "reopen", Does: "I²C bus is opened anew"}, &Recovery{}}}}
}

// SetRecovery sets, before the first transaction, what is done before each opening of the
// transport (nil: nothing), and the steps that follow, in their order, when nobody answers
// after it was opened anew.
func (b *Bus) SetRecovery(prepare func() error, steps ...Step) {
	b.transport.prepare = prepare
	for _, s := range steps {
		b.steps = append(b.steps, step{s, &Recovery{}})
	}
}

// Recoveries calls f for each step of the bus, in their order.
func (b *Bus) Recoveries(f func(step string, r *Recovery)) {
	for _, s := range b.steps {
		f(s.Name, s.Recovery)
	}
}

// last returns the step that was taken last.
func (r *recovery) last() *step {
	at, n := r.taken-1, len(r.steps)
	if at >= n && n > 1 {
		at = 1 + (at-1)%(n-1) // each of them opens it anew as well
	}
	return &r.steps[min(at, n-1)]
}

// quiet reports whether all steps were taken before, and logged.
func (r *recovery) quiet() bool { return r.taken > len(r.steps) }

// nextStep returns the next step if nobody answered, nil if somebody did or if there is
// nothing to do but to open the transport.
func (r *recovery) nextStep(log *slog.Logger) func() {
	if !r.mute {
		return nil
	}
	r.mute = false
	r.taken++
	s, quiet := r.last(), r.quiet()
	s.Taken.Add(1)
	if !quiet {
		log.Info(s.Does+", because nobody answered", "step", s.Name)
	}
	if s.Take == nil {
		return nil
	}
	return func() {
		if err := s.Take(); err != nil && !quiet {
			log.Warn("a step to recover the I²C bus failed", "step", s.Name, "err", err)
		}
	}
}

// inVain notes that still nobody answers. After the last step it logs what the user can
// do.
func (r *recovery) inVain(log *slog.Logger) {
	if r.taken == 0 || r.quiet() {
		return
	}
	if r.taken < len(r.steps) {
		log.Info("I²C bus still does not answer", "step", r.last().Name)
		return
	}
	tried := "it was opened anew"
	if len(r.steps) > 1 {
		tried = "all recovery steps"
	}
	log.Warn("I²C bus still does not answer after "+tried+": a chip holds SDA or SCL low",
		"fix", "take the sensors' power away for a second; if that does not help, look for a short circuit or a chip without power")
}

// answered notes that somebody answers, and returns for the log which step was taken before.
func (r *recovery) answered() (attrs []any) {
	if r.taken > 0 {
		s := r.last()
		s.Helped.Add(1)
		attrs = []any{"step", s.Name}
	}
	r.taken, r.mute = 0, false
	return attrs
}
