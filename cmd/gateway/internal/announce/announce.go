// Package announce says what a person who has started the gateway wants to know:
// what it reads and drives, where it can be opened, and who can do what there. It
// has a form for people at a terminal, and one of log lines.
//
// It refuses to know how the parts are built: it has what they say of themselves.
package announce

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/sensors"
	"sensorgateway/wire"
)

// A Start is a start of the gateway.
type Start struct {
	Name      string // of the gateway
	Version   string
	Config    *config.Config
	Simulated bool
	Port      string            // that it listens on
	Sensors   []wire.SensorInfo // as configured
	Firsts    *Firsts           // of these sensors
	Err       func(i int) error // why the sensor's last measurement failed
	Motors    []wire.MotorState // as configured
	Tokens    bool              // one was made: a client without one may do what the configuration says
	Closed    error             // why nobody can connect from another machine, nil if somebody can
	Open      bool              // --insecure: whoever connects may do everything
}

// source returns where the configuration came from.
func (s Start) source() string {
	switch {
	case s.Simulated && s.Config.File == "":
		return "built-in simulation, no hardware"
	case s.Simulated:
		return s.Config.File + ", its chips emulated"
	}
	return s.Config.File
}

// Page is the address of the page for other machines, or the only one.
func (s Start) Page() string {
	if s.Port == "" {
		_, s.Port, _ = net.SplitHostPort(s.Config.Listen) // it is checked
	}
	all := s.pages()
	switch {
	case s.Config.URL != nil:
		return s.Config.URL.String()
	case len(all) > 1:
		return all[1]
	}
	return all[0]
}

func (s Start) pages() []string { return pages(s.Config, s.Port, ofMachine) }

// Print prints the start for people; took is how long it took.
func (s Start) Print(w io.Writer, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "gateway %s on %s · %s\n\n", s.Version, machine.Model(), s.source())
	for i, c := range s.Config.Sensors {
		fmt.Fprintf(&b, "  %-12s %-7s %s   ", c.Name, c.Chip, c.Place())
		switch r, ok := s.Firsts.of(i); {
		case !ok:
			fmt.Fprintf(&b, "no reading yet, %s\n", schedule(c.Interval, time.Now()))
		case r.Fault != wire.Good:
			fmt.Fprintf(&b, "%s\n               %s\n", problem(r.Fault), s.why(i))
		default:
			for k, q := range s.Sensors[i].Quantities() {
				b.WriteString(q.Text(r.Values[k]) + "  ")
			}
			fmt.Fprintf(&b, " %s\n", schedule(c.Interval, time.Now()))
		}
	}
	for _, m := range s.Motors {
		fmt.Fprintf(&b, "  %-12s motor   %s\n", m.Target, motor(m))
	}
	b.WriteString("\n")
	label, all := "page", s.pages()
	for _, page := range all {
		fmt.Fprintf(&b, "  %-9s %s\n", label, page)
		label = ""
	}
	fmt.Fprintf(&b, "  %-9s %s\n", "readings", readingsAt(all[0]))
	for _, may := range s.access() {
		fmt.Fprintf(&b, "  %-9s %s\n", may.what, may.who)
	}
	fmt.Fprintf(&b, "\nready in %d ms · stop with Ctrl-C\n", took.Milliseconds())
	_, _ = io.WriteString(w, b.String()) // a closed terminal is no reason to stop
}

// where returns the place of a chip as attributes of a log line.
func where(c config.Sensor) []any {
	if c.Class != "" {
		return []any{"place", c.Place()}
	}
	args := []any{"bus", c.Bus, "address", fmt.Sprintf("0x%02x", c.Address)}
	if c.Mux != (config.Mux{}) {
		args = append(args, "multiplexer", fmt.Sprintf("0x%02x", c.Mux.Address), "channel", c.Mux.Channel)
	}
	return args
}

// Log writes the same as log lines.
func (s Start) Log(log *slog.Logger, took time.Duration) {
	for i, c := range s.Config.Sensors {
		args := append([]any{"sensor", c.Name, "chip", c.Chip}, where(c)...)
		args = append(args, "interval", c.Interval)
		if at, slow := due(c.Interval, time.Now()); slow {
			args = append(args, "next", at.Format(time.TimeOnly))
		}
		switch r, ok := s.Firsts.of(i); {
		case !ok:
			log.Info("sensor configured", args...)
		case r.Fault != wire.Good:
			log.Warn("first reading failed", append(args, "cause", r.Fault, "err", s.why(i))...)
		default:
			for k, q := range s.Sensors[i].Quantities() {
				args = append(args, q.Name, q.Text(r.Values[k]))
			}
			log.Info("sensor measures", args...)
		}
	}
	for _, m := range s.Motors {
		log.Info("motor configured", "motor", m.Target, "state", motor(m))
	}
	all := s.pages()
	args := []any{"version", s.Version, "name", s.Name, "machine", machine.Model(), "configuration", s.source(), "page", all[0], "readings", readingsAt(all[0])}
	if len(all) > 1 {
		args = append(args, "also", strings.Join(all[1:], " "))
	}
	for _, may := range s.access() {
		args = append(args, strings.ReplaceAll(may.what, " ", "_"), may.who)
	}
	log.Info("ready", append(args, "ms", took.Milliseconds())...)
}

// schedule says how often a sensor is read, and if that is rarely, when it is read next.
func schedule(interval time.Duration, now time.Time) string {
	if at, slow := due(interval, now); slow {
		return fmt.Sprintf("every %v, next at %s", interval, at.Format(time.TimeOnly))
	}
	return fmt.Sprintf("every %v", interval)
}

// due returns when a sensor is read next, if it is so slow that people would wait
// for it: deadlines are whole multiples of the interval since 1970.
func due(interval time.Duration, now time.Time) (at time.Time, slow bool) {
	return now.Add(interval - time.Duration(now.UnixNano())%interval), interval > sensors.SlowInterval
}

// why returns the error behind a failed first reading, with what helps.
func (s Start) why(i int) string {
	err := s.Err(i)
	if err == nil {
		return "it measures now"
	}
	if f := wire.FaultOf(err); f == wire.NoAck || f == wire.Absent {
		return fmt.Sprintf("%v (check wiring, power and address; see who answers: gateway scan)", err)
	}
	return err.Error()
}

// problem is a fault in words.
func problem(f wire.Fault) string { return "✗ " + strings.ReplaceAll(f.String(), "_", " ") }

// motor says whether a motor is on, what it can do, and what keeps it from running.
func motor(m wire.MotorState) string {
	text := "off"
	if m.Running {
		text = "on"
	}
	switch {
	case m.Fault != "":
		text += ", " + m.Fault
	case m.Latched:
		text += ", the e-stop is latched"
	}
	if m.Reversible {
		text += ", both directions"
	}
	if m.Proportional {
		text += ", any speed"
	}
	for i, interlock := range m.Interlocks {
		if i == 0 {
			text += ", runs only while "
		} else {
			text += " and "
		}
		text += interlock.Condition
	}
	return text
}
