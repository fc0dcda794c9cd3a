package hil

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRecovery makes chips and their bus hang: the reset of a chip, opening the bus anew, and
// cutting the chips' power, which releases SDA, each help where they can.
func TestRecovery(t *testing.T) {
	systemctl(t, "stop")
	t.Cleanup(func() { systemctl(t, "start") })
	removeBus := startBus(t)
	defer removeBus()
	const power = 17
	ask := startGateway(t, fmt.Sprintf(`sensors:
  - {name: sht, chip: sht3x, address: 0x44, interval: 200ms, stuck_after: 0s, power: GPIO%d}
  - {name: aht, chip: aht20, address: 0x38, interval: 500ms, stuck_after: 0s, power: GPIO%[1]d}
`, power))
	good := func(sensor string) func() bool {
		return func() bool { return strings.Contains(ask("/sensors/"+sensor), `"temp":`) }
	}
	failed := func(sensor string) func() bool {
		return func() bool { return strings.Contains(ask("/sensors/"+sensor), `"fault":`) }
	}
	counted := func(sample string) func() bool {
		return func() bool {
			_, value, found := strings.Cut(ask("/metrics"), "\n"+sample+" ")
			return found && !strings.HasPrefix(value, "0\n")
		}
	}
	within(t, time.Minute, "readings", func() bool { return good("sht")() && good("aht")() })
	if l := level(t, power); l != "1" {
		t.Errorf("the line that feeds the chips is %s", l)
	}

	bus(t, "crcrate 0x44 1")
	within(t, time.Minute, "a chip whose checksums are wrong is reset", counted(`gateway_sensor_resets_total{sensor="sht"}`))
	bus(t, "crcrate 0x44 0")
	took := within(t, time.Minute, "it measures then", counted(`gateway_sensor_resets_helped_total{sensor="sht"}`))
	t.Logf("good %v after the last wrong checksum", took)

	bus(t, "ahtbusy 0x38 1")
	within(t, time.Minute, "a chip is busy for ever", failed("aht"))
	took = within(t, time.Minute, "it is reset when it is opened", good("aht"))
	t.Logf("an AHT20 that was busy for ever is good after %v", took)

	bus(t, "stuckbus 1")
	within(t, 2*time.Minute, "the bus is opened anew", counted(`gateway_bus_recoveries_total{bus="1",step="reopen"}`))
	took = within(t, 2*time.Minute, "the power is cut", func() bool { return level(t, power) == "0" })
	bus(t, "stuckbus 0") // the chip that held SDA has no power
	within(t, time.Minute, "it helps", counted(`gateway_bus_recoveries_helped_total{bus="1",step="power"}`))
	within(t, time.Minute, "readings again", func() bool { return good("sht")() && good("aht")() })
	if counted(`gateway_bus_recoveries_helped_total{bus="1",step="reopen"}`)() {
		t.Error("to open the bus anew has helped, although SDA was held")
	}
	if l := level(t, power); l != "1" {
		t.Errorf("the line that feeds the chips is %s", l)
	}
	t.Logf("power was cut %v after the bus was opened anew", took)
}
