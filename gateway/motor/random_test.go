package motor

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"sensorgateway/gateway/condition"
	"sensorgateway/wire"
)

// TestRandomEvents compares a controller with a second account of what may keep
// a motor running, through thousands of random sequences of all that can happen
// to it.
func TestRandomEvents(t *testing.T) {
	sequences := uint64(2000)
	if testing.Short() {
		sequences = 300
	}
	started := 0
	for seed := range sequences {
		started += randomSequence(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if started < int(sequences) {
		t.Errorf("only %d starts in %d sequences", started, sequences)
	}
}

type world struct {
	*rig
	*rand.Rand
	accounts []*account
	clients  []Client
	lost     int
	last     map[string]wire.Command // by client
	good     time.Time               // the last good reading
	hot      bool                    // the last reading was too hot, or failed
	latched  bool
	started  int
	others   [2]string       // who else has control, by motor
	log      []func() string // what happened, printed only after a failure
}

func randomSequence(t *testing.T, seed uint64) int {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 0)), last: map[string]wire.Command{}}
	some := func(d ...time.Duration) time.Duration { return d[w.IntN(len(d))] }
	motors := []Config{
		{Name: "m1", Reversible: true, Proportional: true, Ramp: some(0, 0, 100*ms, time.Second), Dwell: some(0, 50*ms, 300*ms),
			MinPause: some(0, 0, 80*ms), MaxRun: some(0, 2*time.Second), KeepOnLoss: w.IntN(3) == 0},
		{Name: "m2", MaxRun: some(0, time.Second)},
	}
	if w.IntN(2) == 0 {
		motors[0].Interlocks = []condition.Condition{mustParse(t, "indoor.temperature < 60"), mustParse(t, "indoor.age < 500ms")}
	}
	bubble(t, motors, func(r *rig) {
		w.rig = r
		w.clients = []Client{client("a"), client("b"), client("c")}
		for i := range motors {
			w.accounts = append(w.accounts, &account{cfg: motors[i]})
		}
		w.measure(20)
		for range 60 {
			w.event()
			w.pass(0)
			w.check()
			if t.Failed() {
				break
			}
		}
		for i, a := range w.accounts {
			checkDrives(t, a.cfg, w.out(i).history())
		}
		if t.Failed() {
			for _, line := range w.log {
				t.Log(line())
			}
			t.Logf("driven %v", w.drives())
		}
	})
	return w.started
}

func (w *world) note(format string, args ...any) {
	at := time.Since(w.out(0).born)
	w.log = append(w.log, func() string { return at.String() + ": " + fmt.Sprintf(format, args...) })
}

func (w *world) event() {
	switch n := w.IntN(100); {
	case n < 8:
		w.control(w.clients[w.IntN(len(w.clients))])
	case n < 60:
		w.send(w.clients[w.IntN(len(w.clients))])
	case n < 80:
		d := time.Duration(w.IntN(400)) * ms
		w.note("pass %v", d)
		w.pass(d)
	case n < 90:
		w.measure(20)
	case n < 92:
		w.measure(float32(20 + w.IntN(80)))
	case n < 93:
		w.note("failed reading")
		w.hot = true
		w.failure(0, wire.NoAck)
		w.accounts[0].tripped = true
	case n < 96:
		i := w.IntN(len(w.clients))
		w.note("lost %s", w.clients[i].ID)
		w.Lost(w.clients[i].ID, wire.ReasonDisconnect)
		for k := range w.accounts {
			if has, asks := w.controls(k); has == w.clients[i].Name || asks == w.clients[i].Name {
				w.Errorf("%s is lost, and has or requests control of motor %d", w.clients[i].Name, k)
			}
		}
		for _, a := range w.accounts {
			if (a.owner == w.clients[i].ID || a.holder == w.clients[i].ID) && !a.cfg.KeepOnLoss {
				a.end()
			}
		}
		w.lost++
		w.clients[i].ID = fmt.Sprint(w.clients[i].Name, w.lost)
	case n < 97:
		w.note("e-stop")
		w.EStop("x")
		w.latch()
	case n < 98: // m2 cannot be driven on any more
		w.note("m2 breaks")
		w.out(1).alter(func(f *fakeOutput) {
			f.failing = func(speed float64) error {
				if speed != 0 {
					return errPin
				}
				return nil
			}
		})
	default:
		w.note("m2 repaired")
		w.out(1).alter(func(f *fakeOutput) { f.failing = nil })
	}
}

func (w *world) measure(celsius float32) {
	w.note("reading %v", celsius)
	w.reading(0, celsius)
	w.good, w.hot = time.Now(), celsius >= 60
	if w.hot {
		w.accounts[0].tripped = true
	}
}

func (w *world) latch() {
	w.latched = true
	for _, a := range w.accounts {
		a.end()
	}
}

// controls returns who has control of a motor, and who requests it.
func (w *world) controls(i int) (has, asks string) {
	s := w.States()[i]
	if s.Control != nil {
		has = s.Control.By
	}
	if s.ControlRequest != nil {
		asks = s.ControlRequest.By
	}
	return has, asks
}

// control sends a random control message, and sometimes waits for its outcome.
func (w *world) control(cl Client) {
	w.settle()
	i := w.IntN(2)
	allow := w.IntN(2) == 0
	cmd := wire.Command{
		Action: []string{wire.RequestControl, wire.RequestControl, wire.GrantControl, wire.DenyControl, wire.ReleaseControl}[w.IntN(5)],
		Target: w.accounts[i].cfg.Name, TimeoutMS: new(int64), AllowTakeover: &allow,
	}
	*cmd.TimeoutMS = wire.MinControlMS
	had, asked := w.controls(i)
	ack, err := w.Command(cl, cmd)
	has, asks := w.controls(i)
	w.note("%s: %s → %+v, %v: control was %q < %q, is %q < %q", cl.ID, cmd.Action, ack.State, err, had, asked, has, asks)
	w.accounts[i].renew(cl, time.Now())
	switch {
	case err != nil && (has != had || asks != asked):
		w.Errorf("refused, and control has changed")
	case has != had && had != "" && had != cl.Name:
		w.Errorf("%s has taken control from %s", cl.Name, had)
	case has != "" && has == asks:
		w.Errorf("%s requests what it has", has)
	}
	if asks == "" || w.IntN(3) > 0 {
		return
	}
	allowed := has != "" && w.States()[i].Control.AllowTakeover
	held := has != "" || w.accounts[i].holder != ""
	w.pass(wire.MinControlMS * ms)
	then, waits := w.controls(i)
	w.note("after its time: %q < %q", then, waits)
	if waits != "" || allowed && then != asks || has != "" && !allowed && then != has || !held && then != asks {
		w.Errorf("allowed %v, control of %q, %q requested it: now it is %q < %q", allowed, has, asks, then, waits)
	}
}

// send sends a random command, and accounts for it.
func (w *world) send(cl Client) {
	w.settle()
	if last, ok := w.last[cl.ID]; ok && w.IntN(8) == 0 {
		w.repeat(cl, last)
		return
	}
	i := w.IntN(2)
	cmd := wire.Command{Target: w.accounts[i].cfg.Name}
	number := func(n int64) *int64 { return &n }
	switch n := w.IntN(20); {
	case n < 9:
		cmd.Action = wire.Start
	case n < 13:
		cmd.Action = wire.Set
	case n < 15:
		cmd.Action = wire.Keepalive
	case n < 16:
		cmd.Action = wire.Status
	case n < 18:
		cmd.Action = wire.Stop
	case n < 19 && w.IntN(3) == 0:
		cmd.Action, cmd.Target = wire.EStop, wire.All
	default:
		cmd.Action, cmd.Target = wire.Reset, wire.All
	}
	if cmd.Action == wire.Start || cmd.Action == wire.Set {
		if v := float64(w.IntN(5)) / 4; w.IntN(2) == 0 {
			cmd.Speed = &v
		}
		cmd.Direction = []string{"", "", wire.Forward, wire.Reverse}[w.IntN(4)]
		if w.IntN(4) == 0 {
			cmd.RunMS = number(1 + w.Int64N(800))
		}
		if w.IntN(4) == 0 {
			cmd.LeaseMS = number(100 + w.Int64N(800))
		}
	}
	late := w.IntN(20) == 0
	if late {
		cmd.Expires = number(time.Now().UnixMilli() - 1)
	}
	cmd.ID = fmt.Sprint(len(w.log))
	w.others = [2]string{}
	for k := range w.accounts {
		if has, _ := w.controls(k); has != cl.Name {
			w.others[k] = has
		}
	}
	ack, err := w.Command(cl, cmd)
	text, _ := json.Marshal(cmd)
	w.note("%s: %s → %+v, %v", cl.ID, text, ack.State, err)
	if (cmd.Action == wire.Start || cmd.Action == wire.Set) && err == nil {
		w.last[cl.ID] = cmd
	} else if cmd.Action != wire.Status && cmd.Action != wire.Keepalive {
		delete(w.last, cl.ID)
	}
	if ack.State != nil {
		if got := w.out(i).now(); math.Abs(got) != ack.State.Speed || (got < 0) != (ack.State.Direction == wire.Reverse) && got != 0 {
			w.Errorf("driven with %v, acknowledged %+v", got, *ack.State)
		}
	}
	w.account(cl, i, cmd, late, err)
}

// repeat sends a client's last command again: it is answered with the state of
// now, and no motor is driven differently than before.
func (w *world) repeat(cl Client, last wire.Command) {
	on := [2]bool{w.accounts[0].on, w.accounts[1].on}
	ack, err := w.Command(cl, last)
	w.note("%s repeats %s: %+v, %v", cl.ID, last.ID, ack.State, err)
	if err != nil || !ack.Repeat || !slices.ContainsFunc(w.States(), func(s wire.MotorState) bool { return reflect.DeepEqual(s, *ack.State) }) {
		w.Errorf("%+v, %v, the states are %+v", ack, err, w.States())
	}
	for i, a := range w.accounts {
		if a.cfg.Name == last.Target && last.Expires == nil {
			a.renew(cl, time.Now())
		}
		if w.States()[i].Running && !on[i] {
			w.Errorf("a repeat started %s", a.cfg.Name)
		}
	}
}
