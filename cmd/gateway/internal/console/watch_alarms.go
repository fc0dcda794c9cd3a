package console

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

// alarmEvent returns the event of an alarm that a message is, if it is one.
func alarmEvent(m client.Message) (e wire.Event, ok bool) {
	return e, m.Type == wire.TypeEvent && json.Unmarshal(m.Payload, &e) == nil && e.Kind == wire.EventAlarm
}

// alarmLine is the event of an alarm as a line of JSON, as the gateway sent it. Its "kind"
// distinguishes it from a reading.
func alarmLine(e wire.Event) []byte { return append(phrase.EscapeJSON(wire.JSON(e)), '\n') }

// changesAlarms reports whether the list of alarms is to be asked for again: after each
// change, and once events are subscribed to, since no change is missed from then on.
func changesAlarms(e client.Event) bool {
	m, ok := e.(client.Message)
	if !ok {
		return false
	}
	_, ok = alarmEvent(m)
	return ok || m.Type == wire.TypeSubscribed
}

// alarmsAgain is the wait before another try, if the list of alarms could not be read.
const alarmsAgain = 5 * time.Second

// followAlarms hands over the list of alarms after each change, or why it is not known,
// until ctx ends.
func followAlarms(ctx context.Context, o client.Options, changes <-chan struct{}, show func(alarmList, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
		}
		for {
			list, err := listAlarms(ctx, o)
			if ctx.Err() != nil {
				return
			}
			if show(list, err); err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(alarmsAgain):
			}
		}
	}
}

// shownAlarms is how many alarms are below the table: it must fit a terminal.
const shownAlarms = 8

// alarmLines are the alarms that are raised, below the table.
func (b *board) alarmLines(colour bool) (lines []string) {
	if b.alarmsErr != nil {
		return []string{"", cell{Printable(phrase.Brief(b.alarmsErr)), yellow}.paint(0, colour)}
	}
	if len(b.alarms) > 0 {
		lines = append(lines, "")
	}
	for i, a := range b.alarms {
		if i == shownAlarms {
			return append(lines, fmt.Sprintf("and %d alarms more: gateway alarms %s", len(b.alarms)-i, Printable(b.url)))
		}
		how := alarmStyle(a)
		if !b.connected {
			how = faint // as of then
		}
		lines = append(lines, cell{describeAlarm(a), how}.paint(0, colour))
	}
	return lines
}

func alarmStyle(a wire.Alarm) style {
	switch {
	case a.State == wire.AlarmAcknowledged || a.Severity == wire.SeverityInfo:
		return plain
	case a.Severity == wire.SeverityCritical:
		return red
	}
	return yellow
}
