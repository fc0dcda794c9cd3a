package hil

import (
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// chips are the healthy sensors of gateway.yaml, with raw numbers to try and
// what may be lost on the way to the client: the float32 of the wire, and for
// the BME280 the whole numbers in which its driver calculates.
var chips = []struct {
	name           string
	address        int
	convert        func(t, rh uint32) (celsius, percent float64)
	raw            [][2]uint32
	withinC, withP float64
}{
	{"sht", 0x44, sht31, [][2]uint32{{26214, 29491}, {1901, 7}, {60001, 65533}}, 2e-5, 2e-5},
	{"bme", 0x76, bme280, [][2]uint32{{524288, 30000}, {450001, 26001}, {600003, 34567}}, 0.0101, 0.02},
	{"aht", 0x38, aht20, [][2]uint32{{393217, 471859}, {209711, 12345}, {700001, 1040001}}, 2e-5, 2e-5},
}

func TestGateway(t *testing.T) {
	// The gateway was started without a bus.
	s := connect(t)
	for _, chip := range chips {
		s.untilFault(t, chip.name, wire.BusDown)
	}
	removeBus := startBus(t)
	defer func() { removeBus() }()
	for _, chip := range chips {
		s.untilGood(t, chip.name)
	}

	t.Run("values", func(t *testing.T) { testValues(t, s) })
	t.Run("frozen", func(t *testing.T) { testFrozen(t, s) })
	t.Run("faults", func(t *testing.T) { testFaults(t, s) })
	t.Run("unplugged", func(t *testing.T) { testUnplugged(t, s) })

	t.Run("bus leaves", func(t *testing.T) {
		removeBus()
		for _, chip := range chips {
			s.untilFault(t, chip.name, wire.BusDown)
		}
		removeBus = startBus(t)
		for _, chip := range chips {
			s.untilGood(t, chip.name)
		}
	})

	t.Run("bus hangs", func(t *testing.T) {
		bus(t, "hang 5000")
		for _, chip := range chips {
			s.untilFault(t, chip.name, wire.Timeout, wire.BusDown)
		}
		for _, chip := range chips {
			s.untilGood(t, chip.name)
		}
	})

	t.Run("bus never answers", func(t *testing.T) { testBusNeverAnswers(t, s) })
	t.Run("restart", testRestart)
	t.Run("motors", testMotors)
	t.Run("watchdog", testWatchdog)
	t.Run("next number", testNextNumber)
	t.Run("storage", testStorage)
	t.Run("clock", testClock)
	t.Run("certificate", testCertificate)
}

// testValues sets what the chips measure and wants exactly that.
func testValues(t *testing.T, s *stream) {
	for i := range chips[0].raw {
		for _, chip := range chips {
			raw := chip.raw[i]
			bus(t, "raw %#x %d %d 350000", chip.address, raw[0], raw[1])
		}
		for _, chip := range chips {
			raw := chip.raw[i]
			celsius, percent := chip.convert(raw[0], raw[1])
			want := fmt.Sprintf("%.5f °C, %.5f %%", celsius, percent)
			s.until(t, chip.name, want, func(r wire.Record) bool {
				return r.Fault == wire.Good &&
					math.Abs(float64(r.Values[0])-celsius) <= chip.withinC &&
					math.Abs(float64(r.Values[1])-percent) <= chip.withP
			})
		}
	}
}

// testFrozen: a chip that measures the same bits for longer than its stuck_after.
func testFrozen(t *testing.T, s *stream) {
	s.untilFault(t, "frozen", wire.Stuck)
	bus(t, "raw 0x45 30000 30000")
	s.untilGood(t, "frozen")
}

// silent is the cause when a chip does not acknowledge. It is absent soon; where the
// machine is busy, the first tick may have timed out instead.
var silent = []wire.Fault{wire.NoAck, wire.Absent}

// testFaults lets one chip fail in one way, and wants its cause on its ticks
// while another chip on the same bus measures on.
func testFaults(t *testing.T, s *stream) {
	const always = 1_000_000
	tests := []struct {
		name, chip, other string
		command           string // with the number of transfers that fail
		causes            []wire.Fault
	}{
		{"nack", "sht", "bme", "nack 0x44 %d", silent},
		{"nack", "bme", "sht", "nack 0x76 %d", silent},
		{"nack", "aht", "sht", "nack 0x38 %d", silent},
		{"crc", "sht", "aht", "crc 0x44 %d", []wire.Fault{wire.Checksum}},
		{"crc", "aht", "sht", "crc 0x38 %d", []wire.Fault{wire.Checksum}},
		{"stuck bus", "sht", "aht", "errno 0x44 ETIMEDOUT %d", []wire.Fault{wire.Timeout}},
		{"stuck bus", "bme", "sht", "errno 0x76 ETIMEDOUT %d", []wire.Fault{wire.Timeout}},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.chip, func(t *testing.T) {
			bus(t, tt.command, always)
			s.untilFault(t, tt.chip, tt.causes...)
			s.untilGood(t, tt.other)
			bus(t, tt.command, 0)
			s.untilGood(t, tt.chip)
		})
	}
}

// testUnplugged: a chip that is missing does not acknowledge at first, then is
// absent, and is found again when it is back.
func testUnplugged(t *testing.T, s *stream) {
	for _, chip := range chips {
		bus(t, "unplug %#x", chip.address)
		s.untilFault(t, chip.name, silent...)
	}
	for _, chip := range chips {
		s.untilFault(t, chip.name, wire.Absent)
	}
	for _, chip := range chips {
		bus(t, "plug %#x", chip.address)
	}
	for _, chip := range chips {
		s.untilGood(t, chip.name)
	}
}

// testBusNeverAnswers: the call into the kernel does not return, and even SIGKILL would
// not end it. Everything else goes on, for longer than the watchdog's time, and the
// gateway still ends as asked.
func testBusNeverAnswers(t *testing.T, s *stream) {
	pid := property(t, "MainPID")
	bus(t, "hang 600000 1000")
	var hung wire.Record
	ticks, late := map[string]int{}, missedTicks(t)
	for _, chip := range chips {
		hung = s.untilFault(t, chip.name, wire.Timeout, wire.BusDown)
	}
	for _, chip := range chips {
		s.until(t, chip.name, "tick 15 s later", func(r wire.Record) bool {
			if r.Fault != wire.Timeout && r.Fault != wire.BusDown {
				t.Fatalf("%s: %+v, want a cause that names the bus", chip.name, r)
			}
			ticks[chip.name]++
			return r.UnixMilli-hung.UnixMilli > 15_000
		})
	}
	late = missedTicks(t) - late // of all sensors, because the machine is busy
	if n := ticks["sht"]; n+late < 29 {
		t.Errorf("%d ticks in 15 s and %d missed, want 30", n, late)
	}
	wantHealthy(t)
	newcomer := connect(t)
	newcomer.untilFault(t, "sht", wire.Timeout, wire.BusDown)
	if now := property(t, "MainPID"); now != pid {
		t.Fatalf("process %s is now %s: it was restarted", pid, now)
	}

	stop := exec.Command("systemctl", "stop", "gateway.service")
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	wantServiceRestart(t, s)
	wantServiceRestart(t, newcomer)
	bus(t, "unhang") // until then the kernel keeps even an ended process
	if err := stop.Wait(); err != nil {
		t.Fatalf("systemctl stop: %v", err)
	}
	wantSuccess(t)
}

// wantSuccess checks that the gateway has ended with success.
func wantSuccess(t *testing.T) {
	t.Helper()
	if result, status := property(t, "Result"), property(t, "ExecMainStatus"); result != "success" || status != "0" {
		t.Errorf("it ended with %s, status %s, want success, 0", result, status)
	}
}

// wantServiceRestart checks that the connection is closed as on SIGTERM.
func wantServiceRestart(t *testing.T, s *stream) {
	t.Helper()
	err := s.ended(t)
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != websocket.CloseServiceRestart ||
		!strings.HasPrefix(closed.Text, "Service restart; retry_ms=") {
		t.Errorf("the connection ended with %v, want 1012 Service restart; retry_ms=N", err)
	}
}

// testRestart: the sequence numbers go on where they ended.
func testRestart(t *testing.T) {
	systemctl(t, "start")
	s := connect(t)
	last := s.untilGood(t, "sht")
	systemctl(t, "restart")
	wantServiceRestart(t, s)
	again := connect(t)
	next := again.untilGood(t, "sht")
	if again.hello.Epoch != s.hello.Epoch || next.Seq <= last.Seq {
		t.Errorf("number %d of epoch %s after %d of %s", next.Seq, again.hello.Epoch, last.Seq, s.hello.Epoch)
	}
}

// testWatchdog: a process that hangs is replaced, and before that the motors that it left
// running are driven off.
func testWatchdog(t *testing.T) {
	s := connect(t)
	last := s.untilGood(t, "sht")
	operate(t).start(t, "relay")
	wantLevels(t, "relay=1")
	pid, restarts := property(t, "MainPID"), property(t, "NRestarts")
	signal(t, "STOP", pid)
	untilLevels(t)
	s.ended(t)
	again := connect(t)
	wantLevels(t)
	next := again.untilGood(t, "sht")
	if now := property(t, "MainPID"); now == pid || now == "0" {
		t.Errorf("process %s is still there", now)
	}
	if now := property(t, "NRestarts"); now == restarts {
		t.Errorf("systemd counts %s restarts, as before", now)
	}
	if again.hello.Epoch == s.hello.Epoch && next.Seq <= last.Seq {
		t.Errorf("number %d was used twice", next.Seq)
	}
	wantHealthy(t)
}

func systemctl(t *testing.T, verb string, options ...string) {
	t.Helper()
	if b, err := exec.Command("systemctl", append(options, verb, "gateway.service")...).CombinedOutput(); err != nil {
		t.Fatalf("systemctl %s: %v: %s", verb, err, b)
	}
}

// signal sends a process a signal.
func signal(t *testing.T, name, pid string) {
	t.Helper()
	if pid == "0" { // systemd's value for no process; to kill, it is the own process group
		t.Fatalf("no process to send SIG%s to", name)
	}
	if b, err := exec.Command("kill", "-s", name, pid).CombinedOutput(); err != nil {
		t.Fatalf("kill -s %s %s: %v: %s", name, pid, err, b)
	}
}
