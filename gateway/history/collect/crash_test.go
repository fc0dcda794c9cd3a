package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

// rig drives a collection on a simulated disk step by step.
type rig struct {
	*Collection
	disk      *disktest.Disk
	device    *device
	confirmed map[string][]bool // by sensor, of each record
	stop      func()
}

// openRig opens what is on a disk.
func openRig(d *disktest.Disk, dev *device) (*rig, error) { return openRigWith(d, dev, Options{}) }

func openRigWith(d *disktest.Disk, dev *device, o Options) (*rig, error) {
	o.Dir, o.FS, o.Log = "hub", d, slog.New(slog.DiscardHandler)
	c, err := Open(o)
	if err != nil {
		return nil, err
	}
	c.pause = 0
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = c.intake.run(ctx); close(ended) }()
	r := &rig{Collection: c, disk: d, device: dev, confirmed: map[string][]bool{}, stop: func() { cancel(); <-ended }}
	for _, sensor := range dev.sensors {
		r.confirmed[sensor] = make([]bool, len(dev.records[sensor]))
	}
	return r, nil
}

// send has the records of all sensors from one to another come.
func (r *rig) send(from, to int) (err error) {
	for _, sensor := range r.device.sensors {
		failed := r.Append(context.Background(), "pi-1", r.device.blocks(sensor, from, to), nil)
		for i := from; failed == nil && i < to; i++ {
			r.confirmed[sensor][i] = true
		}
		err = errors.Join(err, failed)
	}
	return err
}

// check holds that what was confirmed is there, and nothing twice or in disorder.
func (r *rig) check(confirmed map[string][]bool) error {
	reader, err := r.Reader("pi-1", r.device.epoch, r.device.sensors)
	if err != nil {
		return err
	}
	for i, sensor := range r.device.sensors {
		records := r.device.records[sensor]
		next := reader.Since(uint16(i), records[0].Seq-1)
		at := 0
		for {
			batch, err := next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			for _, x := range batch {
				x.Flags &^= wire.Historical
				for at < len(records) && records[at].Seq != x.Seq {
					if confirmed[sensor][at] {
						return fmt.Errorf("%s: record %d is missing", sensor, at)
					}
					at++
				}
				if at == len(records) {
					return fmt.Errorf("%s: number %d is there twice, or was never made", sensor, x.Seq)
				}
				if !slices.Equal(x.Append(nil), records[at].Append(nil)) {
					return fmt.Errorf("%s: record %d differs", sensor, at)
				}
				at++
			}
		}
		if rest := slices.Index(confirmed[sensor][at:], true); rest >= 0 {
			return fmt.Errorf("%s: record %d is missing", sensor, at+rest)
		}
	}
	if why, lost := reader.Lost(); lost > 0 {
		return fmt.Errorf("%d are said to be lost: %s", lost, why)
	}
	return nil
}

// complete has all records come, once more, and holds that then all are there.
func (r *rig) complete() error {
	n := len(r.device.records[r.device.sensors[0]])
	if err := errors.Join(r.send(0, n), r.seal(), r.mergeAll()); err != nil {
		return err
	}
	if err := r.check(r.confirmed); err != nil {
		return err
	}
	size, segments := int64(0), 0
	for name, f := range r.disk.Names {
		if strings.HasSuffix(name, atomicfile.TempSuffix) {
			return fmt.Errorf("%s was left behind", name)
		}
		if strings.HasSuffix(name, format.SegmentSuffix) {
			segments, size = segments+1, size+int64(len(f.Now))
		}
	}
	if segments > 6 {
		return fmt.Errorf("%d segments are left of five days", segments)
	}
	if got := r.Size(); got != size {
		return fmt.Errorf("%d bytes of segments, %d are known", size, got)
	}
	return nil
}

// mergeAll merges what is due, as in some hours.
func (r *rig) mergeAll() (err error) {
	for n := range 10 {
		err = errors.Join(err, r.merge(context.Background(), afterwards.Add(time.Duration(n)*lingers)))
	}
	return err
}

// afterwards is when all readings have been made.
var afterwards = time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)

// days returns a device whose readings were made within five days.
func days(random *rand.Rand) *device {
	d := newDevice(random, "e", 200)
	for _, records := range d.records {
		for i := range records {
			records[i].UnixMilli = afterwards.Add(time.Duration(i-240) * 36 * time.Minute).UnixMilli()
		}
	}
	return d
}

// survive opens what a crash left, and goes on.
func survive(d *disktest.Disk, dev *device, confirmed map[string][]bool) error {
	r, err := openRig(d, &device{random: rand.New(rand.NewPCG(1, 1)), sensors: dev.sensors, epoch: dev.epoch, records: dev.records})
	if err != nil {
		return err
	}
	defer r.stop()
	if err := r.check(confirmed); err != nil {
		return err
	}
	return r.complete()
}

// steps are what happens to a collection. Those that fail are done again by complete.
func (r *rig) steps() (failed error) {
	do := func(err error) { failed = errors.Join(failed, err) }
	do(r.send(0, 40))
	do(r.seal())
	do(r.send(80, 130)) // what is between comes late
	do(r.send(130, 150))
	do(r.seal())
	do(r.send(30, 80))
	do(r.seal())
	do(r.mergeAll())
	do(r.send(150, 200))
	do(r.seal())
	do(r.mergeAll())
	return failed
}

// TestEveryCrash holds that what was confirmed is there after a crash or a power cut at
// any moment, once, and that all goes on from there.
func TestEveryCrash(t *testing.T) {
	d, chance := disktest.New(), rand.New(rand.NewPCG(31, 1))
	r, err := openRig(d, days(chance))
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	crashes := 0
	d.Changed = func() {
		left := map[string]*disktest.Disk{"killed": d.Killed()}
		for n := range 4 {
			left[fmt.Sprint("power cut ", n)] = d.Cut(chance)
		}
		for how, d := range left {
			if err := survive(d, r.device, r.confirmed); err != nil {
				t.Errorf("operation %d, %s: %v", r.disk.Ops, how, err)
			}
			crashes++
		}
	}
	if err := r.steps(); err != nil {
		t.Fatal(err)
	}
	d.Changed = nil
	if err := r.complete(); err != nil {
		t.Fatal(err)
	}
	if crashes < 100 {
		t.Errorf("only %d crashes", crashes)
	}
}

// TestEveryOperationFails holds that what was confirmed is there, once, whichever operation
// fails, alone or with some after it, and that all is well when the disk works again.
func TestEveryOperationFails(t *testing.T) {
	step := 4
	if soak() {
		step = 1
	}
	for _, many := range []int{1, 5, 40} {
		for n := 1; ; n += step {
			failed, err := failFrom(n, many)
			if err != nil {
				t.Fatalf("operation %d and so many: %d: %v", n, many, err)
			}
			if !failed {
				t.Logf("%d operations", n)
				break
			}
		}
	}
}

// soak returns whether tests may take long, as by scripts/soak.
func soak() bool { return os.Getenv("GATEWAY_TEST_SOAK") != "" }

// failFrom has the n-th operation fail and those after it, many in all. It tells
// whether any operation failed.
func failFrom(n, many int) (failed bool, err error) {
	d, chance := disktest.New(), rand.New(rand.NewPCG(32, uint64(n)))
	r, err := openRig(d, days(chance))
	if err != nil {
		return false, err
	}
	defer r.stop()
	d.Mu.Lock()
	first := d.Ops + n
	d.Fail = func(op int, _, _ string) error {
		if op >= first && op < first+many {
			failed = true
			return syscall.EIO
		}
		return nil
	}
	d.Mu.Unlock()
	_ = r.steps()
	d.Mu.Lock()
	d.Fail = nil
	d.Mu.Unlock()
	for _, again := range []bool{false, true} { // and when all has come once more, and is in the intake
		if again {
			if err := r.send(0, 200); err != nil {
				return failed, err
			}
		}
		for how, left := range []*disktest.Disk{d.Killed(), d.Cut(chance), d.Cut(chance)} {
			if err := survive(left, r.device, r.confirmed); err != nil {
				return failed, fmt.Errorf("after crash %d, all came again: %v: %w", how, again, err)
			}
		}
	}
	return failed, r.complete()
}
