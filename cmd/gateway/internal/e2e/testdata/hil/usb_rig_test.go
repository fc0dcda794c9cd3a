package hil

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sensorgateway/sensors/sim"
)

// usbAdapter is an I²C adapter on the emulated machine's USB: the kernel's
// i2c-tiny-usb drives it through vhci-hcd, which speaks the protocol of USB over
// IP (Documentation/usb/usbip_protocol.rst) on a socket of ours.
type usbAdapter struct {
	wire *os.File // our end of the socket
	port string   // as the kernel calls it, such as "1-1"
}

// i2cBus is the bus with the chips of an adapter.
type i2cBus interface {
	Tx(addr uint16, w, r []byte) error
}

const (
	vhci       = "/sys/devices/platform/vhci_hcd.0/"
	i2cClass   = "/sys/class/i2c-dev"
	usbDevices = "/sys/bus/usb/devices"
)

// plugUSB plugs an adapter with an SHT31 at 0x44 into a port, from 0 on.
func plugUSB(t *testing.T, port int) *usbAdapter {
	t.Helper()
	chips := sim.NewBus("usb", sim.NewEnvironment(1), 1)
	if err := chips.Add("sht3x", 0x44, sim.Indoor); err != nil {
		t.Fatal(err)
	}
	return plugUSBWith(t, port, chips)
}

// loadUSB loads the kernel's drivers of the emulated USB and of the adapter.
func loadUSB(t *testing.T) {
	t.Helper()
	for _, module := range []string{"vhci-hcd", "i2c-dev", "i2c-tiny-usb"} {
		if b, err := exec.Command("modprobe", module).CombinedOutput(); err != nil {
			t.Fatalf("modprobe %s: %v: %s", module, err, b)
		}
	}
}

// plugUSBWith plugs an adapter with chips into a port.
func plugUSBWith(t *testing.T, port int, chips i2cBus) *usbAdapter {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[1]) // the kernel has it
	root, err := filepath.Glob(vhci + "usb*")
	if err != nil || len(root) == 0 {
		t.Fatalf("no emulated USB: %v", err)
	}
	slices.Sort(root)
	if err := syscall.SetNonblock(pair[0], true); err != nil { // or Close would wait for the next request
		t.Fatal(err)
	}
	a := &usbAdapter{
		wire: os.NewFile(uintptr(pair[0]), "usb"),
		port: fmt.Sprintf("%s-%d", strings.TrimPrefix(filepath.Base(root[0]), "usb"), port+1),
	}
	go a.serve(chips)
	const fullSpeed = 2
	// The port, the socket, the device's number on its own machine, the speed.
	if err := os.WriteFile(vhci+"attach", fmt.Appendf(nil, "%d %d %d %d", port, pair[1], 1<<16|port+2, fullSpeed), 0o200); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.pull)
	return a
}

// pull ends the connection, which is what the kernel sees when a plug is pulled.
func (a *usbAdapter) pull() { _ = a.wire.Close() }

// there reports whether the kernel still has the device.
func (a *usbAdapter) there() bool {
	_, err := os.Stat(filepath.Join(usbDevices, a.port))
	return err == nil
}

// bus returns the device file of the adapter's bus, "" as long as there is none.
func (a *usbAdapter) bus() string {
	all, _ := filepath.Glob(i2cClass + "/*")
	for _, one := range all {
		if target, err := filepath.EvalSymlinks(one); err == nil && slices.Contains(strings.Split(target, "/"), a.port) {
			return filepath.Base(one)
		}
	}
	return ""
}

const usbHeader = 48 // bytes: struct usbip_header

// serve answers the kernel's requests until the connection ends.
func (a *usbAdapter) serve(chips i2cBus) {
	status := byte(0) // of the last transfer
	for {
		request := make([]byte, usbHeader)
		if _, err := io.ReadFull(a.wire, request); err != nil {
			return
		}
		const submit, unlink, in = 1, 2, 1
		answer := make([]byte, usbHeader)
		copy(answer[4:], request[4:8]) // the sequence number
		word := func(at int) uint32 { return binary.BigEndian.Uint32(request[at:]) }
		if word(0) == unlink {
			binary.BigEndian.PutUint32(answer, 4)
			_, _ = a.wire.Write(answer)
			continue
		}
		data := make([]byte, word(24))
		if word(12) != in {
			if _, err := io.ReadFull(a.wire, data); err != nil {
				return
			}
		}
		got, ok := a.control(chips, [8]byte(request[40:]), data, &status)
		binary.BigEndian.PutUint32(answer, 3)
		if !ok {
			stall := -int32(syscall.EPIPE)
			binary.BigEndian.PutUint32(answer[20:], uint32(stall))
		}
		binary.BigEndian.PutUint32(answer[24:], uint32(got))
		if word(12) == in {
			answer = append(answer, data[:got]...)
		}
		if _, err := a.wire.Write(answer); err != nil {
			return
		}
	}
}

// control carries out a control transfer (USB 2.0, section 9.4) and returns how
// many bytes of data it has sent or taken.
func (a *usbAdapter) control(chips i2cBus, setup [8]byte, data []byte, status *byte) (int, bool) {
	device := []byte{18, 1, 0x10, 1, 0xFF, 0, 0, 8, 0x03, 0x04, 0x31, 0xC6, 0x05, 0x01, 0, 0, 0, 1} // 0403:c631
	configuration := []byte{9, 2, 18, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, 0xFF, 0, 0, 0}
	value, index := binary.LittleEndian.Uint16(setup[2:]), binary.LittleEndian.Uint16(setup[4:])
	switch setup[0] {
	case 0x80: // standard, from the device
		switch {
		case setup[1] == 6 && value>>8 == 1:
			return copy(data, device), true
		case setup[1] == 6 && value>>8 == 2:
			return copy(data, configuration), true
		case setup[1] == 0: // its status
			return copy(data, []byte{0, 0}), true
		}
		return 0, false
	case 0x00, 0x01: // its configuration and interface
		return 0, true
	}
	const function, setDelay, getStatus, transfer, acknowledged, silent = 1, 2, 3, 4, 1, 2 // i2c-tiny-usb.c
	switch {
	case setup[1] == function:
		return copy(data, []byte{1, 0, 0xFF, 0x0E}), true
	case setup[1] == getStatus:
		return copy(data, []byte{*status}), true
	case setup[1]&^3 != transfer: // such as the speed, when the driver is bound
		if f, ok := chips.(*freezing); ok && setup[1] == setDelay {
			f.stuck.Store(false)
		}
		return len(data), true
	}
	w, r := data, []byte(nil)
	if value&1 != 0 { // I2C_M_RD
		w, r = nil, data
	}
	*status = acknowledged
	switch err := chips.Tx(index, w, r); {
	case errors.Is(err, errStuck):
		return 0, false
	case err != nil:
		*status = silent
	}
	return len(data), true
}

// within waits for a condition, and fails if it takes longer than limit.
func within(t *testing.T, limit time.Duration, what string, so func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		if time.Since(start) > max(10*limit, time.Minute) {
			t.Fatalf("%s: not within %v", what, time.Since(start))
		}
		<-tick.C
	}
	took := time.Since(start).Round(time.Millisecond)
	if took > limit {
		t.Errorf("%s: after %v, want %v at most", what, took, limit)
	}
	return took
}

// startGateway starts another gateway beside the installed one, with a configuration. It
// returns a function that sends it an HTTP request and returns the answer, or "".
func startGateway(t *testing.T, configuration string) (ask func(path string) string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:8766\n"+configuration), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(out+"usb.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	g := exec.Command("/hil/gateway", "--config", file, "--log-format", "text")
	g.Stdout, g.Stderr = log, log
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.Process.Signal(syscall.SIGTERM)
		_ = g.Wait()
	})
	client := http.Client{Timeout: 5 * time.Second}
	return func(path string) string {
		r, err := client.Get("http://127.0.0.1:8766" + path)
		if err != nil {
			return ""
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return string(body)
	}
}
