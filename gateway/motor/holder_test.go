package motor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sensorgateway/gateway/condition"
	"sensorgateway/wire"
)

func TestHolder(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		r.do(anna, `start "lease_ms":500`)
		r.refused(ben, "start", 409, "m1 is held by anna")
		r.pass(500*ms - 1)
		r.refused(ben, "start", 409, "m1 is held by anna")
		r.pass(1)
		r.do(ben, `start "lease_ms":500`)
		r.refused(anna, "keepalive", 409, "m1 is held by ben")
		r.do(anna, "stop") // ends the lease too
		r.do(anna, "start")
		if s := r.do(ben, `set "lease_ms":500`); s.Holder != ben { // nobody holds it
			t.Errorf("%+v", s)
		}
		r.refused(anna, `set "speed":0.5`, 409, "m1 is held by ben")
	})
}

// TestKeepaliveOfSeveral: one keepalive restarts the leases of all that it names,
// or of all that the client holds, even if some of them have stopped.
func TestKeepaliveOfSeveral(t *testing.T) {
	motors := append(m1(nil), Config{Name: "m2"}, Config{Name: "m3"}, Config{Name: "m4"})
	bubble(t, motors, func(r *rig) {
		running := func(want ...bool) {
			t.Helper()
			for i, s := range r.States() {
				if s.Running != want[i] {
					t.Errorf("%s runs: %v", s.Target, s.Running)
				}
			}
		}
		for _, name := range []string{"m1", "m2", "m3"} {
			r.do(anna, `start "lease_ms":300,"target":"`+name+`"`)
		}
		r.do(ben, `start "lease_ms":10000,"target":"m4"`)
		keep := func(targets, want string) {
			t.Helper()
			r.pass(200 * ms)
			ack, err := r.try(anna, "", `keepalive "target":`+targets)
			var names []string
			for _, s := range ack.Motors {
				names = append(names, s.Target)
			}
			text, _ := json.Marshal(ack.Target)
			if err != nil || string(text) != targets || fmt.Sprint(names) != want {
				t.Errorf("%s: %v, %s, %v, want %s", targets, err, text, names, want)
			}
		}
		for range 3 {
			keep(`"all"`, "[m1 m2 m3]")
			keep(`["m3","m1","m2"]`, "[m3 m1 m2]")
		}
		running(true, true, true, true)
		r.do(ben, "stop")
		for range 3 { // the answer shows that m1 has stopped and m4 is another's
			keep(`["m1","m2","m4"]`, "[m1 m2 m4]")
		}
		running(false, true, false, true)
		keep(`"all"`, "[m2]")
		r.pass(299 * ms)
		running(false, true, false, true)
		r.refused(anna, `keepalive "target":["m2","nope"]`, 404, "Unknown target: nope")
		r.pass(ms)
		running(false, false, false, true)
		r.refused(anna, `keepalive "target":["m2","m4"]`, 409, "m2 is not running")
		r.refused(anna, `keepalive "target":"all"`, 409, "you hold no motor: start or set one with lease_ms")
	})
}

// TestLeaseIsOverBeforeTheLoop: a command at the very end of a lease finds it
// over, whether or not the loop was there first.
func TestLeaseIsOverBeforeTheLoop(t *testing.T) {
	for range 20 {
		bubble(t, m1(nil), func(r *rig) {
			r.do(anna, `start "lease_ms":100`)
			<-time.After(100 * ms)
			r.refused(anna, "keepalive", 409, "m1 is not running")
			r.stopped("lease", "")
		})
	}
}

// serve runs a controller in real time.
func serve(t *testing.T, motors []Config) *Controller {
	c := New(motors, func(wire.MotorState) {}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for {
		if _, err := c.Command(client("t"), wire.Command{Action: wire.Status, Target: wire.All}); err == nil {
			return c
		}
	}
}

// TestRace: two operators race for a motor; never do both get it.
func TestRace(t *testing.T) {
	c := serve(t, m1(func(c *Config) { c.Output = &fakeOutput{born: time.Now()} }))
	start := command(t, `{"action":"start","target":"m1","lease_ms":60000}`)
	stop := command(t, `{"action":"stop","target":"m1"}`)
	for round := range 1000 {
		start.ID = fmt.Sprint(round)
		var got atomic.Int32
		var winner atomic.Pointer[string]
		var racers sync.WaitGroup
		for _, name := range []string{anna, ben} {
			racers.Go(func() {
				if ack, err := c.Command(client(name), start); err == nil {
					got.Add(1)
					winner.Store(&ack.State.Holder)
				}
			})
		}
		racers.Wait()
		if got.Load() != 1 {
			t.Fatalf("round %d: %d got it", round, got.Load())
		}
		if s := c.States()[0]; s.Holder != *winner.Load() || !s.Running {
			t.Fatalf("round %d: %s got it, but the state is %+v", round, *winner.Load(), s)
		}
		if _, err := c.Command(client("t"), stop); err != nil {
			t.Fatal(err)
		}
	}
}

// slowOutput drives on only when the test lets it.
type slowOutput struct {
	fakeOutput
	entered chan struct{}
	let     chan struct{}
}

func (o *slowOutput) Drive(speed float64) error {
	if speed != 0 {
		o.entered <- struct{}{}
		<-o.let
	}
	return o.fakeOutput.Drive(speed)
}

// TestStopPassesTheQueue: of a hundred starts that wait for a slow pin, a stop
// waits for the one that is being written.
func TestStopPassesTheQueue(t *testing.T) {
	out := &slowOutput{entered: make(chan struct{}, 100), let: make(chan struct{})}
	out.born = time.Now()
	c := serve(t, m1(func(c *Config) { c.Output = out }))
	var flood sync.WaitGroup
	for i := range 100 {
		flood.Go(func() {
			c.Command(Client{ID: fmt.Sprint(i)}, wire.Command{Action: wire.Start, Target: "m1"})
		})
	}
	<-out.entered
	flood.Go(func() {
		c.Command(client(anna), wire.Command{Action: wire.Stop, Target: "m1"})
	})
	stacks := make([]byte, 1<<20)
	for waiting := 0; waiting < 100; { // the other starts, and the stop
		runtime.Gosched()
		waiting = bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("[sync.Mutex.Lock"))
	}
	close(out.let)
	flood.Wait()
	if writes := out.history(); len(writes) < 102 || writes[1].speed != 1 || writes[2].speed != 0 {
		t.Errorf("driven %v", writes)
	}
}

// TestConcurrently calls everything at once, for the race detector and for the
// output's check that it is called by one at a time.
func TestConcurrently(t *testing.T) {
	c := serve(t, m1(func(c *Config) {
		c.Output = &fakeOutput{born: time.Now()}
		c.Ramp = ms
		c.Interlocks = []condition.Condition{mustParse(t, "indoor.temperature < 60")}
	}))
	commands := []wire.Command{
		command(t, `{"action":"start","target":"m1","speed":0.5,"lease_ms":100}`),
		command(t, `{"action":"set","target":"m1","direction":"reverse"}`),
		command(t, `{"action":"keepalive","target":"m1"}`),
		command(t, `{"action":"stop","target":"m1"}`),
		command(t, `{"action":"status","target":"all"}`),
		command(t, `{"action":"estop"}`),
		command(t, `{"action":"reset"}`),
		{Action: wire.RequestControl, Target: "m1"},
		{Action: wire.GrantControl, Target: "m1"},
		{Action: wire.ReleaseControl, Target: "m1"},
	}
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 500 {
				cl := client(fmt.Sprint(w))
				cmd := commands[(i*(w+1))%len(commands)]
				cmd.ID = fmt.Sprint(i / 2)
				c.Command(cl, cmd)
				c.Observe([]wire.Record{{Reading: wire.Reading{Values: [2]float32{float32(i % 61)}}}})
				c.States()
				c.Running(cl.ID)
				if i%50 == 0 {
					c.Lost(cl.ID, wire.ReasonDisconnect)
				}
			}
		})
	}
	all.Wait()
}
