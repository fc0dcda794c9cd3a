package field

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// chipTime is how long one chip is read for its rate of errors.
const chipTime = 5 * time.Second

// checkChips reads each sensor: from the gateway that has it, else from its bus.
func (p *patient) checkChips(ctx context.Context, r *report) {
	for _, t := range chipsOf(p.cfg) {
		where := fmt.Sprintf("%s at 0x%02x of %s", model(t.Chip), t.Address, t.Wires())
		if t.Class != "" {
			where = t.Chip + ", " + t.Place()
		}
		kernel := driverOf(p.root, t, p.emulated)
		name, asked := p.gateway.reads(t)
		switch {
		case kernel.name != "":
			r.add(t.Name, fail, kernel.fix(), "%s: the kernel's driver %s has %s, and both would disturb each other", where, kernel.name, kernel.what())
		case asked:
			fix := faultFix
			if t.Class != "" {
				fix = kernelFaultFix
			}
			p.checkAsked(ctx, r, name, where, fix)
		case t.Class == "" && !p.emulated && !p.exists("/dev/i2c-"+numberOf(t.Bus)):
			r.add(t.Name, skip, "", "%s: the bus is not there", where)
		default:
			p.checkChip(ctx, r, t, where)
		}
	}
}

func (p *patient) checkAsked(ctx context.Context, r *report, name, where string, fix func(fault string) string) {
	newest := p.gateway.newest(ctx, name)
	switch {
	case newest.Error != "" && newest.Fault == "":
		r.add(name, skip, newest.Fix, "%s: %s", where, newest.Error)
	case newest.Error != "":
		r.add(name, fail, fix(newest.Fault), "%s: the gateway says %s", where, newest.Fault)
	default:
		r.add(name, pass, "", "%s: %s, %d ms ago, says the gateway", where, newest.Text, newest.AgeMS)
	}
}

// faultFix is what to look for when the gateway names a cause.
func faultFix(fault string) string {
	switch fault {
	case wire.BusDown.String(): // it is missing, closed to the service, or held
		return "see why: journalctl -u gateway"
	case wire.Timeout.String():
		return bus.StuckFix
	case wire.Checksum.String():
		return "interference, or a bus that is too fast for its cable: dtparam=i2c_arm_baudrate=50000 in /boot/firmware/config.txt"
	case wire.Stuck.String():
		return "take the chip's power away for a second"
	}
	return "see who answers: sudo systemctl stop gateway && gateway scan"
}

// checkChip reads a chip again and again, and counts what fails.
func (p *patient) checkChip(ctx context.Context, r *report, t config.Sensor, where string) {
	b, chip := p.buses.Of(t), chipOf(ctx, p.tree, t)
	first := readOnce(chip, b, t)
	if first.failure != nil {
		// Once may be a lost transfer: who answers there says whether the chip is the right one.
		if first = readOnce(chip, b, t); first.failure != nil {
			r.add(t.Name, fail, fixFor(b, t, first.failure, kernelDriver{}), "%s: %s", where, first.Error)
			return
		}
	}
	c := count(ctx, chip, b, t.Address, p.reads)
	p.evaluate(r, t, where, first, c)
}

// tally is how a chip's measurements went.
type tally struct {
	good   int
	faults map[wire.Fault]int
	took   []time.Duration // of the good ones, sorted
	err    error           // why it could not be opened
}

func count(ctx context.Context, chip sensors.Chip, b i2c.Bus, addr uint16, reads int) tally {
	c := tally{faults: map[wire.Fault]int{}}
	device, err := chip.Open(b, addr)
	if err != nil {
		c.err = err
		return c
	}
	defer func() { _ = device.Halt() }() // its error would say nothing that the counts do not
	values := make([]float32, len(chip.All()))
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	if chip.Kernel != nil { // which would give the value of before again
		pause(chip.MinInterval)
	}
	for end := time.Now().Add(chipTime); reads > 0 && time.Now().Before(end) && ctx.Err() == nil; reads-- {
		begin := time.Now()
		if err := device.Sense(values); c.good == 0 && errors.Is(err, wire.WarmingUp) {
			reads++ // it measures by itself, and has nothing yet
		} else if err != nil {
			c.faults[wire.FaultOf(err)]++
		} else {
			c.good++
			c.took = append(c.took, time.Since(begin))
		}
		pause(max(0, chip.MinInterval-time.Since(begin)))
	}
	slices.Sort(c.took)
	return c
}

// evaluate says what the counts mean.
func (p *patient) evaluate(r *report, t config.Sensor, where string, first reading, c tally) {
	bad, total := 0, c.good
	var causes []string
	for fault, n := range c.faults {
		bad, total = bad+n, total+n
		causes = append(causes, fmt.Sprintf("%v %d", fault, n))
	}
	slices.Sort(causes)
	speed := p.speedOf(numberOf(t.Bus))
	wiring := "a loose contact, a cable that is too long, or a bus that is too fast for it: dtparam=i2c_arm_baudrate=50000 in /boot/firmware/config.txt"
	if t.Class != "" || speed > 0 && speed <= 50_000 {
		wiring = "a loose contact, or a cable that is too long"
	}
	switch {
	case c.err != nil:
		r.add(t.Name, warn, wiring, "%s: read once, then: %v", where, c.err)
	case bad > 0:
		r.add(t.Name, warn, wiring, "%s: %d of %d reads failed: %s", where, bad, total, strings.Join(causes, ", "))
	default:
		evidence := first.Text
		if len(c.took) > 0 {
			evidence = fmt.Sprintf("%s; %d reads good, %.1f ms at the median, %.1f ms at the 99th percentile", first.Text, c.good,
				milliseconds(c.took[len(c.took)/2]), milliseconds(c.took[len(c.took)*99/100]))
		}
		r.add(t.Name, pass, "", "%s: %s", where, evidence)
	}
}
