package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/cmd/gateway/internal/logging"
	"sensorgateway/gateway/motor"
	"sensorgateway/wire"
)

// slowLog is an output of log lines that takes each slowly.
type slowLog struct{ strings.Builder }

func (l *slowLog) Write(line []byte) (int, error) {
	time.Sleep(100 * time.Millisecond)
	return l.Builder.Write(line)
}

// TestPanicAfterLogLines holds that a panic comes after what was logged before it.
func TestPanicAfterLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written slowLog
		g := &running{}
		g.log, g.lines = logging.New(&written, "journal", func(string) string { return "" }, false)
		g.motors = motor.New(nil, func(wire.MotorState) {}, g.log)
		defer func() {
			if r := recover(); r != "broken" {
				t.Errorf("it panics with %v", r)
			}
			if want := "<6>msg=one\n<3>msg=two\n"; written.String() != want {
				t.Errorf("when it panics, the log has %q, want %q", written.String(), want)
			}
		}()
		_ = g.guard(func(context.Context) error {
			g.log.Info("one")
			g.log.Error("two")
			panic("broken")
		})(t.Context())
	})
}
