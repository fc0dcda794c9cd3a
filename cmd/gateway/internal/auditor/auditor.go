// Package auditor makes the records of the audit log from what happens in the
// gateway: commands, e-stops, motors that stop by themselves.
//
// It refuses to know how records are stored, who may command, and how a command is
// carried out.
package auditor

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// patience is how long the answer to a command waits for its record. The motor has
// moved by then. After one wait without success, later answers do not wait.
const patience = 20 * time.Millisecond

// Files returns where a state directory has the audit log.
func Files(state string) (dir, key, anchor string) {
	return filepath.Join(state, "audit"), filepath.Join(state, "audit.key"), filepath.Join(state, "audit.anchor")
}

// Auditor makes the records of a gateway. One without a log makes none.
type Auditor struct {
	notify.Nop
	Log    *audit.Log // nil: nothing is recorded
	epoch  atomic.Pointer[epoch]
	names  []string
	newest []atomic.Int64 // number of each sensor's newest record, -1 before the first

	changed map[string]change // the last of each motor; only MotorChanged uses it
}

// epoch is one of the sensors' numbers.
type epoch struct {
	name  string
	first []uint32 // the numbers that come first in it, by sensor
}

// change is what a motor's change is known by: not its speed and its control.
type change struct {
	ts      float64 // Unix seconds
	running bool
	reason  string
}

// New returns an auditor of a gateway of this version, whose numbers are of this epoch.
func New(log *audit.Log, version, epochName string, sensors []wire.SensorInfo) *Auditor {
	a := &Auditor{Log: log, newest: make([]atomic.Int64, len(sensors)), changed: map[string]change{}}
	first := make([]uint32, len(sensors))
	for i, s := range sensors {
		a.names = append(a.names, s.Name)
		a.newest[i].Store(-1)
		first[i] = s.NextSeq
	}
	a.SetEpoch(epochName, first)
	if log != nil {
		log.Note(audit.Record{Kind: audit.KindStart, What: fact("version", version), Result: "ok", Epoch: epochName})
	}
	return a
}

// SetEpoch begins another epoch, with the numbers that come first in it, by sensor.
func (a *Auditor) SetEpoch(name string, first []uint32) { a.epoch.Store(&epoch{name, first}) }

// Run writes the records until the context ends.
func (a *Auditor) Run(ctx context.Context) error {
	if a.Log == nil {
		<-ctx.Done()
		return nil
	}
	return a.Log.Run(ctx)
}

// Tick remembers what the sensors said last.
func (a *Auditor) Tick(records []wire.Record, _ int64) {
	for _, r := range records {
		a.newest[r.Sensor].Store(int64(r.Seq))
	}
}

// MotorChanged records a stop that nobody commanded: the end of a lease, an interlock.
// One goroutine calls it.
func (a *Auditor) MotorChanged(m wire.MotorState) {
	now := change{m.TS, m.Running, m.Reason}
	if last, known := a.changed[m.Target]; known && last == now { // only its control has changed
		return
	}
	a.changed[m.Target] = now
	if a.Log == nil || m.Running || m.Reason == wire.ReasonCommand || m.Reason == wire.ReasonEStop || m.Reason == wire.ReasonBoot {
		return
	}
	r := audit.Record{Kind: audit.KindMotor, Name: m.By, What: fact("target", m.Target), Result: m.Reason}
	a.complete(&r, []wire.MotorState{m})
	a.Log.Note(r)
}

// Event records e-stops and resets, whoever or whatever caused them; changes of a motor's
// control that no message asked for; and which hub may command from now on, or no
// longer.
func (a *Auditor) Event(e wire.Event) {
	if a.Log != nil && e.Kind == wire.EventControl && e.Reason != "" && e.Reason != wire.ReasonCommand {
		what, _ := json.Marshal(map[string]string{"control": e.Action, "target": e.Target, "from": e.From, "to": e.To}) // of strings
		r := audit.Record{Kind: audit.KindMotor, Name: e.By, What: what, Result: e.Reason}
		a.complete(&r, nil)
		a.Log.Note(r)
		return
	}
	if e.Kind == wire.EventHubKeys { // before the hub has the answer
		a.hubKeys(e, "ok")
		return
	}
	if a.Log == nil || e.Kind != wire.EventEStop && e.Kind != wire.EventReset {
		return
	}
	r := audit.Record{Kind: audit.KindLatch, Name: e.By, What: fact("event", e.Kind), Result: "ok"}
	a.complete(&r, nil)
	a.Log.Note(r)
}

// HubKeysChange records that hubs' keys are about to change. If the program is killed before
// it records the change itself, this record says who ordered it, carried out or not.
func (a *Auditor) HubKeysChange(e wire.Event) { a.hubKeys(e, "begun") }

func (a *Auditor) hubKeys(e wire.Event, result string) {
	if a.Log == nil {
		return
	}
	what, _ := json.Marshal(map[string]string{"key": e.Action, "hub": e.Hub, "fingerprint": e.Key}) // of strings
	a.Log.Append(audit.Record{Kind: audit.KindHubKey, Name: e.By, How: "hub", From: e.From, What: what, Result: result}, patience)
}

// Refused records that a client or its command was refused, for one of few reasons.
func (a *Auditor) Refused(reason, client, why string) {
	if a.Log == nil {
		return
	}
	a.Log.Count(audit.Record{Kind: audit.KindRefused, Name: client, What: fact("reason", reason), Result: why}, reason+" "+client)
}

// Logged records that somebody has logged in or out with a browser.
func (a *Auditor) Logged(what, token, name, from string) {
	if a.Log != nil {
		a.Log.Note(audit.Record{Kind: audit.KindLogin, ID: token, Name: name, How: "cookie", From: from, What: fact("logged", what), Result: "ok"})
	}
}

// TokenChanged records that a token was made, changed, rotated or revoked: by whom, if
// the gateway knows, else by whoever changed the file of tokens.
func (a *Auditor) TokenChanged(c tokens.Change) {
	if a.Log == nil {
		return
	}
	by := c.By
	if by == (tokens.Author{}) {
		by.How = "file"
		if c.What == tokens.WasMade {
			by.Name = c.Token.By
		}
	}
	what := map[string]any{"token": c.What, "id": c.Token.ID, "name": c.Token.Name, "role": c.Token.Role}
	if len(c.Token.Sensors) > 0 {
		what["sensors"] = c.Token.Sensors
	}
	if len(c.Token.Motors) > 0 {
		what["motors"] = c.Token.Motors
	}
	if len(c.Token.Gateways) > 0 {
		what["gateways"] = c.Token.Gateways
	}
	if !c.Token.Expires.IsZero() {
		what["expires"] = c.Token.Expires
	}
	if c.What == tokens.WasMade { // it may be noticed much later
		what["created"] = c.Token.Created
	}
	a.note(audit.KindToken, by, what)
}

// SessionEnded records that an administrator has ended the session of somebody.
func (a *Auditor) SessionEnded(by tokens.Author, kind, id, name string) {
	if a.Log != nil {
		a.note(audit.KindLogin, by, map[string]any{"ended": kind, "id": id, "name": name})
	}
}

// note records what somebody did to tokens and sessions.
func (a *Auditor) note(kind string, by tokens.Author, what map[string]any) {
	text, _ := json.Marshal(what) // of strings and times
	r := audit.Record{Kind: kind, ID: by.ID, Name: by.Name, How: by.How, From: by.From, What: text, Result: "ok"}
	if by.ID == "" { // nobody waits for an answer
		a.Log.Note(r)
		return
	}
	a.Log.Append(r, patience)
}

// Recorded carries commands out, and records them before they are acknowledged.
func (a *Auditor) Recorded(carryOut gateway.Handler, states func() []wire.MotorState) gateway.Handler {
	if a.Log == nil {
		return carryOut
	}
	return func(ctx context.Context, c gateway.Client, cmd wire.Command) (any, error) {
		moves := !cmd.Stops() || wouldStop(cmd, states())
		begin := time.Now()
		result, err := carryOut(ctx, c, cmd)
		r := audit.Record{Kind: audit.KindCommand, ID: c.Identity.Token, Name: c.Name, How: c.Identity.How, From: c.Identity.From, What: describe(cmd), Result: "ok",
			Took: float64(time.Since(begin).Microseconds()) / 1000}
		ack, _ := result.(wire.Ack)
		if ack.State != nil {
			ack.Motors = append(ack.Motors, *ack.State)
		}
		a.complete(&r, ack.Motors)
		switch {
		case err != nil:
			refused := wire.AsError(err)
			r.Kind, r.Result = audit.KindRefused, fmt.Sprintf("%d %s", refused.Code, refused.Message)
			a.Log.Count(r, c.ID+cmd.Action+cmd.Target+r.Result)
		case !moves || ack.Repeat || cmd.Action == wire.Keepalive || cmd.Action == wire.Status:
			a.Log.Count(r, c.ID+cmd.Action+cmd.Target)
		case !a.Log.Append(r, patience):
			ack, _ = result.(wire.Ack)
			ack.Audited = new(bool)
			return ack, err
		}
		return result, err
	}
}

// wouldStop reports whether a stop changes anything: a motor runs, or nothing is
// latched yet.
func wouldStop(cmd wire.Command, motors []wire.MotorState) bool {
	return slices.ContainsFunc(motors, func(m wire.MotorState) bool {
		if cmd.Action == wire.EStop {
			return m.Running || !m.Latched
		}
		return m.Running && (cmd.Target == m.Target || cmd.Target == wire.All || slices.Contains(cmd.Targets, m.Target))
	})
}

// complete adds what the gateway knows at this moment.
func (a *Auditor) complete(r *audit.Record, motors []wire.MotorState) {
	for _, m := range motors {
		r.Interlocks = append(r.Interlocks, m.Interlocks...)
	}
	now := a.epoch.Load()
	r.Epoch, r.Newest = now.name, make(map[string]uint32, len(a.names))
	for i, name := range a.names {
		if n := a.newest[i].Load(); n >= 0 && !wire.Before(uint32(n), now.first[i]) { // else it is of the epoch before
			r.Newest[name] = uint32(n)
		}
	}
}

// describe returns a command for a record: its action and the parameters that were given.
func describe(cmd wire.Command) json.RawMessage {
	said := map[string]any{"action": cmd.Action}
	if cmd.Control() {
		said = map[string]any{"control": cmd.Action}
	}
	if cmd.Target != "" {
		said["target"] = cmd.Target
	}
	if cmd.Targets != nil {
		said["target"] = cmd.Targets
	}
	if cmd.Speed != nil {
		said["speed"] = *cmd.Speed
	}
	if cmd.Direction != "" {
		said["direction"] = cmd.Direction
	}
	if cmd.RunMS != nil {
		said["run_ms"] = *cmd.RunMS
	}
	if cmd.LeaseMS != nil {
		said["lease_ms"] = *cmd.LeaseMS
	}
	if cmd.TimeoutMS != nil {
		said["timeout_ms"] = *cmd.TimeoutMS
	}
	if cmd.AllowTakeover != nil {
		said["allow_takeover"] = *cmd.AllowTakeover
	}
	text, _ := json.Marshal(said) // of strings and finite numbers
	return text
}

func fact(name, value string) json.RawMessage {
	text, _ := json.Marshal(map[string]string{name: value})
	return text
}
