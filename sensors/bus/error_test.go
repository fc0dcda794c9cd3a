package bus

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"sensorgateway/wire"
)

func TestFaultOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want wire.Fault
	}{
		{eRemoteIO, wire.NoAck},
		{syscall.ENXIO, wire.NoAck},
		{syscall.ETIMEDOUT, wire.Timeout},
		{syscall.EIO, wire.Timeout},
		{syscall.ENODEV, wire.BusDown},
		{syscall.ENOTCONN, wire.BusDown},
		{syscall.ECONNABORTED, wire.BusDown},
		{syscall.ENOENT, wire.BusDown},
		{syscall.EACCES, wire.BusDown},
		{syscall.EAGAIN, wire.BusDown},
		{syscall.EBUSY, wire.BusDown},
		{syscall.ESHUTDOWN, wire.BusDown},
		{syscall.EBADF, wire.BusDown},
		{syscall.EINVAL, wire.Other},
		{syscall.ENOTTY, wire.Other},
		{io.EOF, wire.Other},
		{fmt.Errorf("0 of 1 messages: %w", syscall.EIO), wire.Timeout},
		{fmt.Errorf("emulated: %w", wire.NoAck), wire.NoAck},
	} {
		if got := faultOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestError(t *testing.T) {
	var err error = &Error{Bus: "bus 1", Addr: 0x44, Op: "read", Fault: wire.BusDown, Err: fmt.Errorf("%w: %w", wire.Timeout, syscall.ENODEV)}
	err = fmt.Errorf("sht3x %w", err)
	if got, want := err.Error(), "sht3x 0x44 on bus 1: read: timeout: "+syscall.ENODEV.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, syscall.ENODEV) || !errors.Is(err, wire.BusDown) {
		t.Error("errors.Is does not find errno and fault")
	}
	if f := wire.FaultOf(err); f != wire.BusDown { // not the cause's
		t.Errorf("fault %v", f)
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.Addr != 0x44 {
		t.Error("errors.AsType does not find it")
	}
}
