package hil

import (
	"fmt"
	"regexp"
	"testing"
	"time"
)

// slack is the additional time that is allowed here, because the processor is emulated.
const slack = 2

// TestUSBAdapter unplugs a USB adapter while its chip is read: the kernel must release it
// soon, because until then it sees no other USB device. When the adapter is plugged in
// again, under another number, its chip is read again.
func TestUSBAdapter(t *testing.T) {
	loadUSB(t)
	systemctl(t, "stop") // the adapters may get the number of its bus
	t.Cleanup(func() { systemctl(t, "start") })
	for _, interval := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, time.Second, 20 * time.Second} {
		t.Run(interval.String(), func(t *testing.T) {
			adapter := plugUSB(t, 0)
			within(t, 10*time.Second, "a bus", func() bool { return adapter.bus() != "" })
			number := adapter.bus()
			ask := startGateway(t, fmt.Sprintf("sensors: [{name: usb, chip: sht3x, bus: %s, interval: %v}]\n", adapter.port, interval))
			before := ""
			newReading := func() bool {
				n := readings(ask("/metrics"))
				return n != "" && n != "0" && n != before
			}
			within(t, 20*time.Second, "a reading", newReading)
			before = readings(ask("/metrics"))

			adapter.pull()
			other := plugUSB(t, 1)
			took := within(t, slack*2*time.Second, "the kernel lets go of the adapter", func() bool { return !adapter.there() })
			seen := within(t, slack*3*time.Second, "another USB device is seen", func() bool { return other.bus() != "" })

			before = readings(ask("/metrics"))
			// A new device gets the lowest free number: the other adapter gets it if the kernel
			// released it before, otherwise a third one gets it.
			third := plugUSB(t, 2)
			within(t, 5*time.Second, "a third one is seen", func() bool { return third.bus() != "" })
			again := plugUSB(t, 0)
			within(t, 5*time.Second, "the adapter is there again", func() bool { return again.bus() != "" })
			limit := interval + slack*5*time.Second
			if interval < 100*time.Millisecond { // which an emulated processor rarely meets
				limit = time.Minute
			}
			back := within(t, limit, "a reading again", newReading)
			t.Logf("%s, then %s: let go of after %v, another device after %v, a reading after %v", number, again.bus(), took, seen, back)
			if again.bus() == number {
				t.Errorf("it is %s again: nothing is proved", number)
			}
			again.pull()
			other.pull()
			third.pull()
			within(t, 5*time.Second, "all are pulled", func() bool { return !again.there() && !other.there() && !third.there() })
		})
	}
}

var readingsForm = regexp.MustCompile(`(?m)^gateway_readings_total\{sensor="usb"\} (\d+)`)

// readings returns how many good readings there were, "" if that is not known.
func readings(metrics string) string {
	if m := readingsForm.FindStringSubmatch(metrics); m != nil {
		return m[1]
	}
	return ""
}
