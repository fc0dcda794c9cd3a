package hil

import (
	"bytes"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sensorgateway/wire"
)

const (
	interval = 500 * time.Millisecond // of sht
	in1970   = 1e8 - 1                // 27 hours, in Unix ms; a query takes later ones up to 2001 for seconds
)

// testClock: a Pi starts in 1970, because its clock does not run without power, and
// gets the time while the gateway runs.
func testClock(t *testing.T) {
	systemctl(t, "stop")
	right := clockOffset(t)
	// The kernel does not accept times that would put its own start before 1970.
	anHour := unix.NsecToTimespec(time.Hour.Nanoseconds())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &anHour); err != nil {
		t.Fatalf("clock_settime: %v", err)
	}
	systemctl(t, "start")
	s, events := connect(t), listen(t)
	if s.hello.ClockSynced {
		t.Error("in 1970, hello says that the clock is synchronised")
	}
	var early []wire.Record
	wrong := func(r wire.Record) bool {
		if r.UnixMilli > in1970 {
			return false
		}
		if r.Flags&wire.ClockUnsynced == 0 {
			t.Fatalf("%+v of 1970 has no flag that says so", r)
		}
		early = append(early, r)
		return true
	}
	s.until(t, "sht", "tenth tick in 1970", func(r wire.Record) bool {
		if !wrong(r) {
			t.Fatalf("%+v, want a time in 1970", r)
		}
		return len(early) == 10
	})

	step := synchronise(t, right)
	late := s.until(t, "sht", "tick with the right time", func(r wire.Record) bool {
		return !wrong(r) && r.Flags&wire.ClockUnsynced == 0
	})
	if off := time.Since(time.UnixMilli(late.UnixMilli)); off < 0 || off > limit {
		t.Errorf("a tick of %v ago came just now", off)
	}
	last := early[len(early)-1]
	went, ticks := late.UnixMilli-last.UnixMilli-step, int64(late.Seq-last.Seq)
	if off := went - ticks*interval.Milliseconds(); max(off, -off) >= interval.Milliseconds() {
		t.Errorf("%d ticks later it is %d ms later", ticks, went)
	}
	if e := untilEvent(t, events, "clock_corrected"); max(e.StepMS-step, step-e.StepMS) > 5 {
		t.Errorf("a step of %d ms was reported as %d ms", step, e.StepMS)
	}
	if hello := connect(t).hello; !hello.ClockSynced {
		t.Error("hello does not say that the clock is synchronised")
	}

	from, to := early[0].UnixMilli+step-5, late.UnixMilli+1
	records := kept(t, "sht", from, to)
	wantCorrected(t, records, append(early, late), step)
	if left := kept(t, "sht", 0, in1970); len(left) > 0 {
		t.Errorf("%d records are kept in 1970, the first %+v", len(left), left[0])
	}
	out := exported(t, "sht", from, to)
	for i := range out {
		out[i].Sensor = records[0].Sensor // an export has its own sensor numbers
	}
	if !slices.EqualFunc(out, records, same) {
		t.Errorf("gateway export says\n%+v\nand the gateway itself\n%+v", out, records)
	}
}

// wantCorrected checks that records that came live are stored with the times at which
// they were really made.
func wantCorrected(t *testing.T, records, live []wire.Record, step int64) {
	t.Helper()
	at := map[uint32]wire.Record{}
	for i, r := range records {
		if r.Flags != wire.Historical {
			t.Errorf("%+v has flags %d", r, r.Flags)
		}
		if i > 0 && (r.Seq <= records[i-1].Seq || r.UnixMilli <= records[i-1].UnixMilli) {
			t.Errorf("%+v comes after %+v", r, records[i-1])
		}
		at[r.Seq] = r
	}
	for _, l := range live {
		want := l.UnixMilli
		if want < in1970 {
			want += step
		}
		r, ok := at[l.Seq]
		if off := r.UnixMilli - want; !ok || max(off, -off) > 5 {
			t.Errorf("%+v is kept as %+v, %d ms off", l, r, off)
		}
		if l.Flags, l.UnixMilli = r.Flags, r.UnixMilli; !same(l, r) {
			t.Errorf("%+v is kept as %+v", l, r)
		}
	}
}

// same compares records bit by bit, because a failed one has NaN values.
func same(a, b wire.Record) bool { return bytes.Equal(a.Append(nil), b.Append(nil)) }

// exported is what `gateway export` has of a sensor's readings.
func exported(t *testing.T, sensor string, from, to int64) []wire.Record {
	t.Helper()
	out, err := exec.Command(program, "export", "--sensor", sensor, "--format", "binary",
		"--from", strconv.FormatInt(from, 10), "--to", strconv.FormatInt(to, 10)).Output()
	if err != nil {
		t.Fatalf("gateway export: %v", err)
	}
	return parse(t, out)
}

// clockOffset returns the difference of Unix time and the time since the machine's start.
func clockOffset(t *testing.T) time.Duration {
	t.Helper()
	var boot, wall unix.Timespec
	for clock, ts := range map[int32]*unix.Timespec{unix.CLOCK_BOOTTIME: &boot, unix.CLOCK_REALTIME: &wall} {
		if err := unix.ClockGettime(clock, ts); err != nil {
			t.Fatalf("clock_gettime: %v", err)
		}
	}
	return time.Duration(wall.Nano() - boot.Nano())
}

// synchronise sets the clock so that it has an offset, as systemd-timesyncd does: in one
// step, after which it counts as synchronised. It returns the step in milliseconds.
func synchronise(t *testing.T, offset time.Duration) int64 {
	t.Helper()
	const maxError, status, setOffset = 0x4, 0x10, 0x100 // adjtimex(2), of which unix has no ADJ_ constants
	step := (offset - clockOffset(t)).Round(time.Millisecond)
	tx := unix.Timex{Modes: maxError | status | setOffset, Time: unix.NsecToTimeval(step.Nanoseconds())}
	if _, err := unix.Adjtimex(&tx); err != nil {
		t.Fatalf("adjtimex: %v", err)
	}
	return step.Milliseconds()
}
