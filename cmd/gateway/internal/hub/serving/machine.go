package serving

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"sensorgateway/wire"
)

// machineEvery is how often a gateway is asked for the numbers of its machine, at most: an
// answer is some hundred bytes on its line.
const machineEvery = time.Minute

// Machine is what a gateway has said of its machine.
type Machine struct {
	Numbers []byte    // JSON, as in the payload of its /metrics; nil: none have come
	At      time.Time // when they came
	Why     error     // why none came since; nil: no more were asked for
}

// machine asks a gateway for the numbers of its machine while somebody looks.
type machine struct {
	ask  func(context.Context) ([]byte, error)
	away func() string // why it cannot be asked, "" if it can
	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	newest Machine
	due    time.Time // when it may be asked
	asking bool
	ended  bool
}

// of sets how its gateway is asked.
func (m *machine) of(ask func(context.Context) ([]byte, error), away func() string) {
	m.ask, m.away = ask, away
	m.ctx, m.stop = context.WithCancel(context.Background())
}

// known returns what the gateway has said last, and has it asked again when that is due.
// It does not wait for the answer.
func (m *machine) known() Machine {
	away, now := m.away(), time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	newest := m.newest
	switch {
	case away != "":
		newest.Why = errors.New(away)
	case !m.asking && !m.ended && !now.Before(m.due):
		m.asking, m.due = true, now.Add(machineEvery)
		m.done.Go(m.askOnce)
	}
	return newest
}

func (m *machine) askOnce() {
	numbers, err := m.ask(m.ctx)
	switch {
	case err != nil && wire.AsError(err).Code == http.StatusNotFound:
		err = errors.New("the gateway's version does not say how its machine is; fix: update it")
	case err == nil && numbers == nil:
		err = errors.New("the gateway has sent none")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asking = false
	if m.newest.Why = err; err == nil {
		m.newest.Numbers, m.newest.At = numbers, time.Now()
	}
}

// end returns when nothing is asked any more.
func (m *machine) end() {
	m.mu.Lock()
	m.ended = true
	m.mu.Unlock()
	m.stop()
	m.done.Wait()
}
