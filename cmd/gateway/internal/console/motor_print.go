package console

import (
	"fmt"
	"io"
	"math"
	"strings"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/wire"
)

// statePrinter shows states of motors and alarms, one a line.
type statePrinter struct {
	w    io.Writer
	json bool // for programs, else for people
}

func (p statePrinter) print(states ...wire.MotorState) error {
	var lines []string
	for _, s := range states {
		if p.json {
			lines = append(lines, string(phrase.EscapeJSON(wire.JSON(s))))
		} else {
			lines = append(lines, describeMotor(s))
		}
	}
	return p.write(lines...)
}

// acknowledged shows an acknowledgement that has no state.
func (p statePrinter) acknowledged(ack wire.Ack) error {
	if p.json {
		return p.write(string(phrase.EscapeJSON(wire.JSON(ack))))
	}
	return p.write(Printable(fmt.Sprintf("%v: %s %s", ack.Target, ack.Action, ack.Status)))
}

func (p statePrinter) write(lines ...string) error {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	if _, err := io.WriteString(p.w, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// describeMotor says in words how a motor is.
func describeMotor(s wire.MotorState) string {
	text := s.Target + ": stopped"
	if s.Running {
		text = fmt.Sprintf("%s: running %s at %.0f %%", s.Target, s.Direction, math.Round(s.Speed*100))
	}
	if why := whyMotor(s); why != "" {
		text += " (" + why + ")"
	}
	if s.Latched {
		text += ", latched until reset"
	}
	if s.Fault != "" {
		text += ", fault: " + s.Fault
	}
	if s.Holder != "" {
		text += ", held by " + s.Holder
	}
	if s.Control != nil {
		text += ", under the control of " + s.Control.By
	}
	if s.ControlRequest != nil {
		text += ", which " + s.ControlRequest.By + " requests"
	}
	for _, i := range s.Interlocks {
		holds := "holds"
		if !i.Holds {
			holds = "does not hold"
		}
		text += ", " + i.Condition + " " + holds
	}
	return Printable(text)
}

// whyMotor is the reason of the last change and who caused it.
func whyMotor(s wire.MotorState) string {
	if s.Reason != "" && s.By != "" {
		return s.Reason + " by " + s.By
	}
	return s.Reason + s.By
}
