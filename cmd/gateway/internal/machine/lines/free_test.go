package lines

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// header is the registers of GPIO 0 to 9 with a chip on the two lines, which holds SDA
// for some clocks: it sends the rest of a byte, nothing but zeros.
type header struct {
	t       *testing.T
	fsel    uint32
	latch   uint32
	holds   int  // clocks until it lets go of SDA
	stretch bool // it holds SCL for ever

	clocks  int
	stopped bool // it has seen a STOP since it let go
	before  uint32
}

const (
	gpset0    = 0x1C          // which outputs become high
	elsewhere = 1<<12 | 2<<27 // GPIO 4 is an output, GPIO 9 has alternate function 5
	ofTheBus  = elsewhere | 4<<6 | 4<<9
)

// levels are those of the lines, which are low if anybody draws them low.
func (h *header) levels() uint32 {
	drawn := func(line int) bool {
		return h.fsel>>(3*line)&7 == output && h.latch>>line&1 == 0
	}
	var v uint32
	if !drawn(sda) && h.holds == 0 {
		v |= sdaLine
	}
	if !drawn(scl) && !h.stretch {
		v |= sclLine
	}
	return v
}

func (h *header) load(at int) uint32 {
	switch at {
	case gpfsel0:
		return h.fsel
	case gplev0:
		return h.levels()
	}
	h.t.Errorf("register 0x%02x is read", at)
	return 0
}

func (h *header) store(at int, v uint32) {
	switch at {
	case gpclr0:
		h.latch &^= v
	case gpset0:
		h.latch |= v
		h.t.Error("a line is driven high, against whoever draws it low")
	case gpfsel0:
		h.fsel = v
	default:
		h.t.Errorf("register 0x%02x is written", at)
	}
	now := h.levels()
	if h.before&sclLine != 0 && now&sclLine == 0 { // it says its next bit
		h.clocks++
		h.holds = max(h.holds-1, 0)
		now = h.levels()
	}
	both := h.before & now & sclLine
	h.stopped = h.stopped || both != 0 && h.before&sdaLine == 0 && now&sdaLine != 0
	h.before = now
}

func TestFree(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fsel    uint32
		holds   int
		stretch bool
		clocks  int
		want    string
	}{
		{"in the middle of a read", ofTheBus, 5, false, 10, ""},
		{"at its beginning", ofTheBus, 9, false, 10, ""},
		{"in the byte before", ofTheBus, 14, false, 15, ""},
		{"nobody holds it", ofTheBus, 0, false, 10, ""},
		{"for ever", ofTheBus, 1000, false, 18, "SDA is low after 18 clocks too"},
		{"SCL is held", ofTheBus, 5, true, 0, "SCL stays low for 5ms"},
		{"pins of another program", elsewhere | 1<<6 | 4<<9, 5, false, 0, "another program took them"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &header{t: t, fsel: tt.fsel, latch: 1<<sda | 1<<scl, holds: tt.holds, stretch: tt.stretch}
			h.before = h.levels()
			err := free(h, func() {})
			if tt.want == "" && (err != nil || !h.stopped) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, stopped %v; want %s", err, h.stopped, tt.want)
			}
			if h.clocks != tt.clocks || h.fsel != tt.fsel {
				t.Errorf("%d clocks, want %d; functions %#x, want %#x", h.clocks, tt.clocks, h.fsel, tt.fsel)
			}
		})
	}
}

// With a file as registers, the functions are as before in the end, and machines with
// other registers are left alone.
func TestFreeOnAMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has the registers in a file")
	}
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for compatible, want := range map[string]string{
		"": "this is no Raspberry Pi 0 to 4", "raspberrypi,5-model-b\x00brcm,bcm2712\x00": "the kernel does this by itself",
		"raspberrypi,4-model-b\x00brcm,bcm2711\x00": "SCL cannot be clocked: open ",
	} {
		write("proc/device-tree/compatible", compatible)
		if err := Free(root); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", compatible, err, want)
		}
	}
	write("proc/device-tree/compatible", "raspberrypi,model-zero\x00brcm,bcm2835\x00")
	page := make([]byte, 0x1000)
	binary.NativeEndian.PutUint32(page[gpfsel0:], ofTheBus)
	binary.NativeEndian.PutUint32(page[gplev0:], sdaLine|sclLine)
	write("dev/gpiomem", string(page))
	if err := Free(root); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(root, "dev/gpiomem"))
	if err != nil {
		t.Fatal(err)
	}
	if got := binary.NativeEndian.Uint32(after[gpfsel0:]); got != ofTheBus {
		t.Errorf("functions %#x, want %#x", got, ofTheBus)
	}
	if got := binary.NativeEndian.Uint32(after[gpclr0:]); got != sdaLine|sclLine {
		t.Errorf("cleared %#x, want %#x", got, sdaLine|sclLine)
	}
}
