package motor

import (
	"math"
	"slices"
	"testing"
	"time"

	"sensorgateway/wire"
)

// account is what should keep one motor running.
type account struct {
	cfg                  Config
	on                   bool
	owner, holder        string // client IDs
	lease                time.Duration
	leaseEnds, ends, max time.Time // zero is never
	tripped              bool
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
