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

// TestRandomEvents holds a controller against a second account of what may
// keep a motor running, through thousands of random sequences of whatever can
// happen to it.
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

// account is what should keep one motor running.
type account struct {
	cfg                  Config
	on                   bool
	owner, holder        string // client IDs
	lease                time.Duration
	leaseEnds, ends, max time.Time // zero is never
	tripped              bool
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

func (a *account) end() { *a = account{cfg: a.cfg} }

// settle ends what is over.
func (w *world) settle() {
	now := time.Now()
	over := func(end time.Time) bool { return !end.IsZero() && !now.Before(end) }
	for i, a := range w.accounts {
		interlocked := a.cfg.Interlocks != nil && (a.tripped || over(w.good.Add(500*ms)))
		if over(a.leaseEnds) || over(a.ends) || over(a.max) || interlocked || w.States()[i].Fault != "" {
			a.end()
		}
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

// control sends a random control message, and sometimes waits for what becomes of it.
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

// mine returns whether a client has control of a motor.
func (w *world) mine(cl Client, i int) bool {
	has, _ := w.controls(i)
	return has == cl.Name
}

// account accounts for the answer to a command.
func (w *world) account(cl Client, i int, cmd wire.Command, late bool, err error) {
	now, a := time.Now(), w.accounts[i]
	if cmd.Action != wire.Reset && cmd.Action != wire.EStop && !late {
		a.renew(cl, now)
	}
	switch {
	case cmd.Action == wire.EStop:
		w.latch()
	case cmd.Action == wire.Stop:
		a.end()
	case cmd.Action == wire.Reset && !late:
		others := w.others != [2]string{}
		if refused := wire.AsError(err); err != nil && refused.Code == 409 != others || err == nil && others {
			w.Errorf("a reset while others have control %v: %v", w.others, err)
		}
		w.latched = w.latched && others
		for _, a := range w.accounts {
			a.renew(cl, now)
		}
	}
	stops := cmd.Action == wire.Stop || cmd.Action == wire.EStop
	if err != nil && stops || err == nil && late && !stops {
		w.Errorf("%s, late: %v: %v", cmd.Action, late, err)
	}
	if err != nil || cmd.Action != wire.Start && cmd.Action != wire.Set && cmd.Action != wire.Keepalive {
		return
	}
	cold := a.cfg.Interlocks == nil || !w.hot && now.Before(w.good.Add(500*ms))
	takes := a.holder != "" && a.holder != cl.ID
	if takes && cmd.Action != wire.Keepalive && w.mine(cl, i) { // over from who holds it
		a.owner, a.holder, a.leaseEnds, takes = cl.ID, "", time.Time{}, false
	}
	if cmd.Action != wire.Keepalive && w.others[i] != "" {
		w.Errorf("taken, though %s has control", w.others[i])
	}
	if w.latched || takes || !cold || cmd.Action != wire.Start && !a.on {
		w.Errorf("taken, though latched %v, held by %q, cold %v, on %v", w.latched, a.holder, cold, a.on)
	}
	if cmd.Action == wire.Start {
		w.started++
		if !a.on && a.cfg.MaxRun > 0 {
			a.max = now.Add(a.cfg.MaxRun)
		}
		a.on, a.owner, a.tripped = true, cl.ID, false
	}
	if cmd.RunMS != nil {
		a.ends = now.Add(time.Duration(*cmd.RunMS) * ms)
	}
	if cmd.LeaseMS != nil {
		a.holder, a.lease = cl.ID, time.Duration(*cmd.LeaseMS)*ms
	}
	a.renew(cl, now)
}

func (a *account) renew(cl Client, now time.Time) {
	if a.holder == cl.ID && cl.ID != "" {
		a.leaseEnds = now.Add(a.lease)
	}
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

// check compares the motors with their accounts, and their drives with what
// their configuration allows.
func (w *world) check() {
	w.settle()
	for i, a := range w.accounts {
		s, out := w.States()[i], w.out(i)
		if s.Running != a.on {
			w.Errorf("%+v, but on the account %+v", s, *a)
		}
		if got := out.now(); !a.on && got != 0 || math.Abs(got) != s.Speed {
			w.Errorf("driven with %v: %+v, on the account %+v", got, s, *a)
		}
		if s.Latched != (w.latched || s.Fault != "") {
			w.Errorf("latched: %+v", s)
		}
	}
	for _, cl := range w.clients {
		mine := slices.ContainsFunc(w.accounts, func(a *account) bool { return a.owner == cl.ID || a.holder == cl.ID })
		for i := range w.accounts {
			_, asks := w.controls(i)
			mine = mine || asks != "" && w.mine(cl, i) // it has to be noticed if it is lost
		}
		if w.Running(cl.ID) != mine {
			w.Errorf("%s has a motor running: %v, on the account %v", cl.ID, !mine, mine)
		}
	}
}

// checkDrives checks a history of writes: zero between two directions, for as
// long as it has to be, and no faster than the ramp but for a stop.
func checkDrives(t testing.TB, cfg Config, drives []driven) {
	t.Helper()
	turned, rested := 0.0, time.Duration(0)
	for i := 1; i < len(drives); i++ {
		from, to := drives[i-1], drives[i]
		switch {
		case from.speed*to.speed < 0:
			t.Errorf("%s: from %v to %v without a zero", cfg.Name, from, to)
		case from.speed != 0 && to.speed == 0:
			turned, rested = from.speed, to.at
		case from.speed == 0 && to.speed != 0:
			rest := cfg.MinPause
			if turned*to.speed < 0 {
				rest = max(rest, cfg.Dwell)
			}
			if to.at-rested < rest {
				t.Errorf("%s: off at %v, on at %v the other way", cfg.Name, rested, to)
			}
		}
		if to.speed < 0 && !cfg.Reversible || to.speed != math.Trunc(to.speed) && !cfg.Proportional {
			t.Errorf("%s: driven with %v", cfg.Name, to)
		}
		if steep := math.Abs(to.speed-from.speed) * float64(cfg.Ramp); to.speed != 0 && steep > float64(to.at-from.at)+1000 {
			t.Errorf("%s: from %v to %v is steeper than %v", cfg.Name, from, to, cfg.Ramp)
		}
	}
}
