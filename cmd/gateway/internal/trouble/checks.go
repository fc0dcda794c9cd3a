package trouble

import (
	"errors"
	"time"

	"sensorgateway/gateway/alarm"
	"sensorgateway/wire"
)

// unsyncedTime is how long the clock may be unsynchronised before that is an alarm.
const unsyncedTime = time.Hour

// Checked is what the built-in alarms are made of.
type Checked struct {
	Storage *Storage     // nil: nothing is stored
	Durable func() error // why what is stored is not durable
	Update  error        // why an update failed, see [FailedUpdate]
	Motors  func() []wire.MotorState
	Expires func() error // why the certificate is near its end; nil: there is none
	Synced  func() bool  // the clock
}

// Checks returns the built-in alarms.
func (c Checked) Checks() []alarm.Check {
	checks := []alarm.Check{{Name: alarm.ClockUnsynced, Severity: wire.SeverityWarning, For: unsyncedTime, Failure: func() error {
		if !c.Synced() {
			return errors.New("the system clock has not been synchronised for an hour; fix: timedatectl timesync-status says why")
		}
		return nil
	}}}
	if c.Storage != nil {
		checks = append(checks, alarm.Check{Name: alarm.StorageFailed, Severity: wire.SeverityCritical, Settle: alarm.Settle, Failure: c.storage},
			alarm.Check{Name: alarm.UpdateFailed, Severity: wire.SeverityWarning, Failure: func() error { return c.Update }})
	}
	if c.Expires != nil {
		checks = append(checks, alarm.Check{Name: alarm.CertificateExpires, Severity: wire.SeverityWarning, Failure: c.Expires})
	}
	for i, m := range c.Motors() {
		checks = append(checks, alarm.Check{Name: alarm.MotorFault + ":" + m.Target, Motor: m.Target, Severity: wire.SeverityCritical, Failure: func() error {
			if fault := c.Motors()[i].Fault; fault != "" {
				return errors.New(fault)
			}
			return nil
		}})
	}
	return checks
}

// storage is why the storage failed, by its events. Before it is known to be durable, the
// absence of such an event proves nothing.
func (c Checked) storage() error {
	if err := c.Storage.Err(); err != nil {
		return err
	}
	if c.Durable() != nil {
		return alarm.ErrUnknown
	}
	return nil
}
