package trouble

import (
	"errors"
	"strings"
	"testing"

	"sensorgateway/wire"
)

// Storage is back when the readings and the e-stop's latch are both stored.
func TestStorage(t *testing.T) {
	var events []string
	s := Storage{Notify: func(e wire.Event) { events = append(events, strings.TrimSpace(e.Kind+" "+e.Reason)) }}
	s.Readings(errors.New("disk full"))
	s.Latch(errors.New("read-only"))
	s.Latch(nil)
	s.Latch(errors.New("read-only"))
	s.Readings(nil)
	s.Latch(nil)
	want := "storage_failed disk full, storage_failed read-only, storage_failed read-only, storage_back"
	if got := strings.Join(events, ", "); got != want {
		t.Errorf("events %s\nwant   %s", got, want)
	}
}
