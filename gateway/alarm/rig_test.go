package alarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/wire"
)

// everything is the scope of a client that may see everything.
func everything(string, string) bool { return true }

var discard = slog.New(slog.DiscardHandler)

// rig is alarms that run in a bubble, and the events that they notified of.
type rig struct {
	*Alarms
	t   *testing.T
	log logBuffer
	end func()

	shown func() // called with each event

	mu     sync.Mutex
	events []string // taken by [rig.news]
}

// logBuffer is log lines that several goroutines write.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(line)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// result is that of a check, which another goroutine makes.
type result struct{ err atomic.Pointer[error] }

func newResult(err error) *result { r := &result{}; r.set(err); return r }

func (r *result) set(err error)  { r.err.Store(&err) }
func (r *result) failure() error { return *r.err.Load() }

// newRig starts alarms with a rule of each condition, named a, b and so on.
func newRig(t *testing.T, o Options, conditions ...string) *rig {
	t.Helper()
	r := &rig{t: t}
	for i, text := range conditions {
		o.Rules = append(o.Rules, Rule{string(rune('a' + i)), DefaultSeverity, mustParse(t, text)})
	}
	o.Sensors, o.Log = sensorsOfTests, slog.New(slog.NewTextHandler(&r.log, nil))
	if o.Claimed == nil {
		claimed := make(chan struct{})
		close(claimed)
		o.Claimed = claimed
	}
	o.Notify = func(e wire.Event) {
		r.Event(e) // alarms are among those that listen
		text := e.Alarm + " " + e.State
		if e.By != "" {
			text += " by " + e.By
		}
		if r.shown != nil {
			r.shown()
		}
		r.mu.Lock()
		r.events = append(r.events, text)
		r.mu.Unlock()
	}
	r.Alarms = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- r.Run(ctx) }()
	<-r.Ready()
	synctest.Wait()
	var once sync.Once
	r.end = func() {
		once.Do(func() {
			cancel()
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	}
	return r
}

// bubble runs the test with time that passes at once.
func bubble(t *testing.T, test func(*testing.T)) { t.Helper(); synctest.Test(t, test) }

func (r *rig) pass(d time.Duration) {
	time.Sleep(d) // in the bubble
	synctest.Wait()
}

// reading has a sensor measure a value and, for its second one, the same.
func (r *rig) reading(sensor uint16, v float32) {
	r.Tick([]wire.Record{{Sensor: sensor, Reading: wire.Reading{Values: [2]float32{v, v}, UnixMilli: time.Now().UnixMilli()}}}, 0)
	synctest.Wait()
}

func (r *rig) failure(sensor uint16, f wire.Fault) {
	r.Tick([]wire.Record{{Sensor: sensor, Fault: f, Reading: wire.Failed(f, time.Now().UnixMilli())}}, 0)
	synctest.Wait()
}

// feed has indoor measure v once a second, for d.
func (r *rig) feed(v float32, d time.Duration) {
	for range d / time.Second {
		r.pass(time.Second)
		if math.IsNaN(float64(v)) {
			r.failure(0, wire.NoAck)
		} else {
			r.reading(0, v)
		}
	}
}

// news checks which events there were since the last time.
func (r *rig) news(want ...string) {
	r.t.Helper()
	r.mu.Lock()
	got := r.events
	r.events = nil
	r.mu.Unlock()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("events %q, want %q", got, want)
	}
}

// acknowledge returns the state of the answer, or the error.
func (r *rig) acknowledge(client, id, name string) string {
	defer synctest.Wait()
	ack, err := r.Acknowledge(Client{ID: client, Name: client, May: everything}, wire.Command{Action: wire.Acknowledge, ID: id, Target: name})
	var refused *wire.Error
	switch {
	case errors.As(err, &refused):
		return fmt.Sprint(refused.Code, " ", refused.Message)
	case err != nil:
		return "no error for clients: " + err.Error()
	}
	text := ack.Alarm.State
	if ack.Alarm.Acknowledged != nil {
		text += " by " + ack.Alarm.Acknowledged.By
	}
	if ack.Repeat {
		text += ", repeat"
	}
	return text
}
