package machine

import (
	"runtime"
	"testing"
	"time"
)

// This machine's clocks. That the boot clock goes on in its sleep is Linux's word.
func TestClockOfThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is a boot clock on Linux only")
	}
	boot := BootClock()
	a, b, c := boot(), time.Now(), boot()
	if d := boot() - a; d < 0 || d > time.Since(b)+c-a || a <= 0 {
		t.Errorf("the boot clock went from %v to %v within %v", a, a+d, time.Since(b))
	}
	if id := BootID(); len(id) != 36 || id != BootID() {
		t.Errorf("boot %q", id)
	}
	if n := testing.AllocsPerRun(100, func() { boot(); ClockSynced() }); n != 0 {
		t.Errorf("reading the clocks allocates %v times", n)
	}
}
