package trouble

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/alarm"
	"sensorgateway/wire"
)

// The checks fail when what they check fails, and say why. Until the storage is known to
// be durable, its check says that it does not know.
func TestChecks(t *testing.T) {
	storage := &Storage{Notify: func(wire.Event) {}}
	var durable, expires error
	state := filepath.Join(t.TempDir(), "state")
	if err := FailedUpdate(state + "/"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.MkdirAll(state+"-update/failed", 0o700), os.WriteFile(state+"-update/failed/why", []byte("version 1.2.3 did not get ready\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	update := FailedUpdate(state + "/")
	synced, motors := true, []wire.MotorState{{Target: "fan"}, {Target: "gate"}}
	checks := Checked{
		Storage: storage, Durable: func() error { return durable }, Motors: func() []wire.MotorState { return motors },
		Expires: func() error { return expires }, Synced: func() bool { return synced }, Update: update,
	}.Checks()
	failures := func() map[string]string {
		failures := map[string]string{}
		for _, c := range checks {
			if err := c.Failure(); c.Name == alarm.UpdateFailed {
				if err == nil || err.Error() != "version 1.2.3 did not get ready" {
					t.Errorf("%s: %v", c.Name, err)
				}
			} else if err != nil {
				failures[c.Name] = err.Error()
			}
		}
		return failures
	}
	for _, tt := range []struct {
		name string
		do   func()
		want map[string]string
	}{
		{"nothing", func() {}, map[string]string{}},
		{"the start", func() { durable = errors.New("not read yet") }, map[string]string{"storage_failed": alarm.ErrUnknown.Error()}},
		{"storage", func() { storage.Latch(errors.New("read-only")) }, map[string]string{"storage_failed": "read-only"}},
		{"storage is back", func() { storage.Latch(nil); durable = nil }, map[string]string{}},
		{"a fault", func() { motors[1].Fault = "GPIO17 is taken" }, map[string]string{"motor_fault:gate": "GPIO17 is taken"}},
		{"the certificate", func() { motors[1].Fault = ""; expires = errors.New("expires soon") }, map[string]string{"certificate_expires": "expires soon"}},
		{"the clock", func() { expires = nil; synced = false }, map[string]string{
			"clock_unsynced": "the system clock has not been synchronised for an hour; fix: timedatectl timesync-status says why"}},
	} {
		if tt.do(); fmt.Sprint(failures()) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, failures(), tt.want)
		}
	}
	for _, c := range checks {
		if name, _, _ := strings.Cut(c.Name, ":"); !alarm.BuiltIn(name) || (c.For == time.Hour) != (c.Name == alarm.ClockUnsynced) || (c.Motor != "") != (name == alarm.MotorFault) {
			t.Errorf("%+v", c)
		}
	}
	if few := (Checked{Motors: func() []wire.MotorState { return nil }, Synced: func() bool { return true }}).Checks(); len(few) != 1 {
		t.Errorf("without storage, certificate and motors: %+v", few)
	}
}
