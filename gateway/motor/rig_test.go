package motor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/wire"
)

// driven is one write to a fake output.
type driven struct {
	at    time.Duration // since the output was made
	speed float64
}

// fakeOutput notes what it is driven with, and fails on demand.
type fakeOutput struct {
	born time.Time
	busy atomic.Bool // to find two calls at a time

	mu      sync.Mutex
	speed   float64
	drives  []driven
	closed  int
	failing func(speed float64) error   // Drive
	mute    error                       // State
	reads   func(speed float64) float64 // what State says while driven with speed
}

func (f *fakeOutput) enter() func() {
	if f.busy.Swap(true) {
		panic("two calls of an output at a time")
	}
	f.mu.Lock()
	return func() { f.mu.Unlock(); f.busy.Store(false) }
}

func (f *fakeOutput) Drive(speed float64) error {
	defer f.enter()()
	if f.closed > 0 {
		return errors.New("closed")
	}
	if f.failing != nil {
		if err := f.failing(speed); err != nil {
			return err
		}
	}
	f.speed = speed
	f.drives = append(f.drives, driven{time.Since(f.born), speed})
	return nil
}

func (f *fakeOutput) State() (float64, error) {
	defer f.enter()()
	if f.reads != nil {
		return f.reads(f.speed), f.mute
	}
	return f.speed, f.mute
}

func (f *fakeOutput) Close() error {
	defer f.enter()()
	f.closed++
	f.speed = 0
	return nil
}

func (f *fakeOutput) now() float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.speed
}

// alter changes how the output behaves.
func (f *fakeOutput) alter(change func(*fakeOutput)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// rig is a running controller in a bubble of fake time.
type rig struct {
	testing.TB
	*Controller
	cancel context.CancelFunc
	ended  chan error

	mu      sync.Mutex
	changes []wire.MotorState
	estops  []string
}

// drivers of the tests. Their connections' IDs are their names in capitals.
const anna, ben = "anna", "ben"

func client(name string) Client { return Client{ID: strings.ToUpper(name), Name: name} }

// bubble runs f with a controller of the motors in fake time.
func bubble(t *testing.T, motors []Config, f func(*rig)) {
	bubbleWith(t, motors, nil, f)
}

// bubbleWith prepares the controller before it runs.
func bubbleWith(t *testing.T, motors []Config, prepare func(*Controller), f func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for i := range motors {
			if motors[i].Output == nil {
				motors[i].Output = &fakeOutput{born: time.Now()}
			}
		}
		r := &rig{TB: t, ended: make(chan error, 1)}
		r.Controller = New(motors, func(s wire.MotorState) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes = append(r.changes, s)
		}, slog.New(slog.DiscardHandler))
		r.OnEStop(func(latched bool, by string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.estops = append(r.estops, fmt.Sprint(latched, " ", by))
		})
		if prepare != nil {
			prepare(r.Controller)
		}
		var ctx context.Context
		ctx, r.cancel = context.WithCancel(t.Context())
		go func() { r.ended <- r.Run(ctx) }()
		synctest.Wait()
		f(r)
		r.cancel()
		<-r.ended
		for _, cfg := range motors {
			if out := cfg.Output.(*fakeOutput); out.closed != 1 || out.now() != 0 {
				t.Errorf("%s: after the end closed %d times, driven with %v", cfg.Name, out.closed, out.now())
			}
		}
	})
}

// m1 is a motor that can do everything, changed by f.
func m1(f func(*Config)) []Config {
	cfg := Config{Name: "m1", Reversible: true, Proportional: true}
	if f != nil {
		f(&cfg)
	}
	return []Config{cfg}
}

// pass lets fake time pass.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func command(t testing.TB, text string) wire.Command {
	t.Helper()
	cmd, err := wire.ParseCommand([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return cmd
}

// try sends "ACTION [MEMBERS]" for m1, such as `start "speed":0.5`.
func (r *rig) try(who, id, text string) (wire.Ack, error) {
	r.Helper()
	action, members, _ := strings.Cut(text, " ")
	json := fmt.Sprintf(`{"action":%q`, action)
	if !strings.Contains(members, `"target"`) && action != wire.EStop && action != wire.Reset {
		json += `,"target":"m1"`
	}
	if members != "" {
		json += "," + members
	}
	cmd := command(r, json+"}")
	cmd.ID = id
	return r.Command(client(who), cmd)
}

// do sends a command that must succeed, and returns m1's state as acknowledged.
func (r *rig) do(who, text string) wire.MotorState {
	r.Helper()
	ack, err := r.try(who, "", text)
	if err != nil {
		r.Fatalf("%s: %s: %v", who, text, err)
	}
	if ack.State != nil {
		return *ack.State
	}
	return ack.Motors[0]
}

// refused sends a command that must fail with this code and message.
func (r *rig) refused(who, text string, code int, message string) {
	r.Helper()
	_, err := r.try(who, "", text)
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != code || e.Message != message {
		r.Errorf("%s: %s: got %v, want %d %s", who, text, err, code, message)
	}
}

// out is the output of the i-th motor.
func (r *rig) out(i int) *fakeOutput { return r.motors[i].cfg.Output.(*fakeOutput) }

// runs checks that m1 is driven with speed, and its state says so.
func (r *rig) runs(speed float64) {
	r.Helper()
	s := r.States()[0]
	if got := r.out(0).now(); got != speed || !s.Running || max(s.Speed, -s.Speed) != max(speed, -speed) {
		r.Fatalf("driven with %v, state %+v; want it to run at %v", got, s, speed)
	}
}

// stopped checks that m1 is off for a reason, of which the listener was notified last.
func (r *rig) stopped(reason, by string) {
	r.Helper()
	synctest.Wait()
	s := r.States()[0]
	if got := r.out(0).now(); got != 0 || s.Running || s.Speed != 0 || s.Reason != reason || s.By != by {
		r.Fatalf("driven with %v, state %+v; want it off by %q for %q", got, s, by, reason)
	}
	s.Interlocks = nil // they change without a notification
	if changes := r.notified(); !slices.ContainsFunc(changes, func(one wire.MotorState) bool { one.Interlocks = nil; return reflect.DeepEqual(one, s) }) {
		r.Fatalf("the listener was not notified of %+v: %+v", s, changes)
	}
}

// history are the writes so far.
func (f *fakeOutput) history() []driven {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.drives)
}

// drives are the writes to m1 since the rig began, except the one at the start.
func (r *rig) drives() []driven { return r.out(0).history()[1:] }

// notified returns the changes that the listener was notified of so far.
func (r *rig) notified() []wire.MotorState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.changes)
}

func (r *rig) wantDrives(want ...driven) {
	r.Helper()
	if got := r.drives(); !slices.Equal(got, want) {
		r.Errorf("driven %v\n   want %v", got, want)
	}
}
