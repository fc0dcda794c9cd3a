package bus

import (
	"errors"
	"testing"

	"periph.io/x/conn/v3/i2c/i2ctest"
)

// A tap shows what went over the bus, and keeps nothing that belongs to its caller.
func TestTap(t *testing.T) {
	playback := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{{Addr: 0x44, W: []byte{0xF3, 0x2D}, R: []byte{0x80, 0x10, 0xE1}}}}
	var seen []Transfer
	tap := NewTap(playback, func(x Transfer) { seen = append(seen, x) })
	w, r := []byte{0xF3, 0x2D}, make([]byte, 3)
	if err := tap.Tx(0x44, w, r); err != nil {
		t.Fatal(err)
	}
	w[0], r[0] = 0, 0
	failed := tap.Tx(0x45, []byte{1}, []byte{9, 9})
	if failed == nil || len(seen) != 2 {
		t.Fatalf("%v, %v", failed, seen)
	}
	if x := seen[0]; x.Addr != 0x44 || string(x.W) != "\xF3\x2D" || string(x.R) != "\x80\x10\xE1" || x.Err != nil || x.At.IsZero() || x.Took < 0 {
		t.Errorf("%+v", x)
	}
	if x := seen[1]; x.Addr != 0x45 || string(x.R) != "\x00\x00" || !errors.Is(x.Err, failed) {
		t.Errorf("%+v", x)
	}
}
