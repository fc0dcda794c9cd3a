package console

import (
	"fmt"
	"io"
	"math"
	"strings"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/wire"
)

// statePrinter shows states of motors, one a line.
type statePrinter struct {
	w    io.Writer
	json bool // for programs, else for people
}

func (p statePrinter) print(states ...wire.MotorState) error {
	var b strings.Builder
	for _, s := range states {
		if !p.json {
			b.WriteString(describeMotor(s) + "\n")
			continue
		}
		b.Write(append(phrase.EscapeJSON(wire.JSON(s)), '\n'))
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
	for _, i := range s.Interlocks {
		holds := "holds"
		if !i.Holds {
			holds = "does not hold"
		}
		text += ", " + i.Condition + " " + holds
	}
	return printable(text)
}

// whyMotor is the reason of the last change and who caused it.
func whyMotor(s wire.MotorState) string {
	if s.Reason != "" && s.By != "" {
		return s.Reason + " by " + s.By
	}
	return s.Reason + s.By
}
