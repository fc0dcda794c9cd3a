package metrics

import (
	"slices"

	"sensorgateway/wire"
)

// What a gateway and a hub say in the same words.

// reading is the newest values of a sensor, or that there are none.
type reading struct {
	label      string // of the sensor
	quantities []wire.Quantity
	values     [2]float32
	live       bool
}

func writeReadings(t *expositionText, all []reading) {
	t.family("gateway_sensor_up", "gauge", "Whether the sensor measures.")
	for _, r := range all {
		t.sample("", r.label, oneIf(r.live))
	}
	for _, q := range wire.Quantities() {
		begun := false
		for _, r := range all {
			value := slices.IndexFunc(r.quantities, func(own wire.Quantity) bool { return own.Name == q.Name })
			if value < 0 {
				continue
			}
			if !begun {
				t.family("gateway_"+q.Metric.Name, "gauge", q.Metric.Help+"; absent while the sensor fails.")
				begun = true
			}
			if r.live && r.values[value] == r.values[value] {
				t.sample("", r.label, shortest(q.Metric.Base(r.values[value])))
			}
		}
	}
}

func writeMotors(t *expositionText, all []wire.MotorState) {
	t.family("gateway_motor_running", "gauge", "Whether the motor is driven.")
	for _, m := range all {
		t.sample("", label("motor", m.Target), oneIf(m.Running))
	}
	t.family("gateway_motor_speed_ratio", "gauge", "What the motor is driven with, 0 to 1.")
	for _, m := range all {
		t.sample("", label("motor", m.Target), m.Speed)
	}
	t.family("gateway_motor_controlled", "gauge", "Whether somebody has control of the motor.")
	for _, m := range all {
		t.sample("", label("motor", m.Target), oneIf(m.Control != nil))
	}
}

func writeAlarms(t *expositionText, all []wire.Alarm) {
	t.family("gateway_alarm", "gauge", "Whether the alarm is raised, acknowledged or not.")
	for _, a := range all {
		t.sample("", label("name", a.Name)+","+label("severity", a.Severity), oneIf(a.Raised()))
	}
}

func writeAudit(t *expositionText, audit Audit) {
	t.counter("gateway_audit_records_total", "Records written to the audit log.", float64(audit.Written()))
	t.counter("gateway_audit_lost_total", "Records of the audit log that were lost because the disk took none for too long.", float64(audit.Lost()))
	t.gauge("gateway_audit_writable", "Whether the disk takes the records of the audit log.", oneIf(audit.Err() == nil))
}

// limitAlarms takes the alarms out that a client may not see.
func limitAlarms(all []wire.Alarm, sees func(sensor, motor string) bool) []wire.Alarm {
	return slices.DeleteFunc(all, func(a wire.Alarm) bool { return !sees(a.Sensor, a.Motor) })
}
