package field

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/sensors"
	"sensorgateway/sensors/trace"
	"sensorgateway/wire"
)

// flushEvery is how long a recorded call may wait until it is in the file.
const flushEvery = time.Second

// recording are the flags of record.
type recording struct {
	source
	size string
	time time.Duration
}

func recordCommand(env console.Env, load Load) *cobra.Command {
	var o recording
	cmd := &cobra.Command{
		Use:   "record FILE",
		Short: "Read the sensors as the gateway does, and record every transfer for a bug report",
		Long: "Reads the sensors of the configuration on their intervals, and writes each transfer with its time, its\n" +
			"bytes and its error into FILE, until Ctrl-C or for the time that is given. The file has no more than --size,\n" +
			"FILE.1 included, where the older half is. The gateway must be stopped meanwhile: it has the buses.\n" +
			"gateway replay FILE runs the drivers on it, on any machine; gateway --replay FILE serves it.",
		Example: "  sudo systemctl stop gateway && gateway record bus.trace --for 10m\n  gateway record --simulate=flaky bus.trace",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), env, load, args[0])
		},
	}
	o.flags(cmd, env)
	_ = cmd.Flags().MarkHidden("json") // record prints one line; the call fails only for an unknown flag
	cmd.Flags().StringVar(&o.size, "size", "64MiB", "how much to keep, as 64MiB or 1GiB")
	cmd.Flags().DurationVar(&o.time, "for", 0, "how long to record, such as 10m (default: until Ctrl-C)")
	return cmd
}

// oneFile refuses other arguments than a file.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return console.UsageError{Err: fmt.Errorf("%s takes one file, such as bus.trace", cmd.CommandPath())}
	}
	return nil
}

var sizeForm = regexp.MustCompile(`^([1-9][0-9]{0,4})(MiB|GiB)$`)

func parseSize(s string) (int64, error) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("--size %s: write it as 64MiB or 1GiB", phrase.Quote(s))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if m[2] == "GiB" {
		n <<= 10
	}
	return n << 20, err
}

func (o *recording) run(ctx context.Context, env console.Env, load Load, path string) (err error) {
	size, err := parseSize(o.size)
	if err != nil {
		return console.UsageError{Err: err}
	}
	if o.time < 0 {
		return console.UsageError{Err: fmt.Errorf("--for %v: it is longer than nothing, such as 10m", o.time)}
	}
	cfg, simulate, err := o.open(load, false)
	if err != nil {
		return err
	}
	if simulate == nil {
		if g := o.running(ctx, cfg); g != nil {
			return fmt.Errorf("the gateway that runs at %s has the buses; fix: sudo systemctl stop gateway", g.base)
		}
	}
	if len(recordable(cfg)) == 0 {
		return errors.New("the kernel reads all sensors: there are no transfers to record")
	}
	file, err := trace.NewFile(path, size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	recorder, err := trace.NewRecorder(file, headerOf(cfg, env.Version)) // it makes the file
	if err != nil {
		return fmt.Errorf("the recording cannot be written: %w; fix: name a file in a directory that is there and that this user may write to", err)
	}
	buses, err := openBuses(cfg.Sensors, simulate)
	if err != nil {
		return err
	}
	defer buses.Close()
	if o.time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.time)
		defer cancel()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	fmt.Fprintf(env.Stderr, "recording %d chips into %s; Ctrl-C ends it\n", len(recordable(cfg)), path)
	var flushing sync.WaitGroup
	flushing.Go(func() { flush(ctx, stop, file, recorder) })
	err = sampler(cfg, buses, recorder).Run(ctx)
	stop()
	flushing.Wait()
	calls, failed := recorder.Counts()
	fmt.Fprintf(env.Stdout, "%d measurements and openings, %d failed, are in %s\n", calls, failed, path)
	return errors.Join(err, recorder.Err())
}

// flush writes what was recorded to the file, and ends the recording when that fails.
func flush(ctx context.Context, stop func(), file *trace.File, recorder *trace.Recorder) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if file.Flush() != nil || recorder.Err() != nil { // Close and Err say why
				stop()
			}
		case <-ctx.Done():
			return
		}
	}
}

// recordable returns the chips on buses: what the kernel reads makes no transfers of ours.
func recordable(cfg *config.Config) []config.Sensor {
	return slices.DeleteFunc(chipsOf(cfg), func(c config.Sensor) bool { return c.Class != "" })
}

// headerOf is what a trace says of the configuration.
func headerOf(cfg *config.Config, version string) trace.Header {
	h := trace.Header{Gateway: version}
	for _, c := range cfg.Sensors {
		if c.Class != "" { // there are no transfers
			continue
		}
		if c.Further != "" {
			own := &h.Chips[len(h.Chips)-1]
			own.Also = append(own.Also, c.Further)
			continue
		}
		h.Chips = append(h.Chips, trace.Chip{Name: c.Name, Chip: c.Chip, Bus: c.Bus, Mux: traceMux(c), Address: c.Address,
			IntervalMS: c.Interval.Milliseconds(), StuckMS: c.StuckAfter.Milliseconds()})
	}
	return h
}

func traceMux(c config.Sensor) *trace.Mux {
	if c.Mux == (config.Mux{}) {
		return nil
	}
	return &trace.Mux{Address: c.Mux.Address, Channel: c.Mux.Channel}
}

// sampler reads the chips, recorded.
func sampler(cfg *config.Config, buses machine.Buses, recorder *trace.Recorder) *sensors.Sampler {
	var configs []sensors.Config
	for i, c := range recordable(cfg) {
		configs = append(configs, sensors.Config{
			ID: uint16(i), Name: c.Name, Chip: recorder.Chip(i, sensors.Chips()[c.Chip]), Bus: buses.Bounded(c), Address: c.Address,
			Interval: c.Interval, StuckAfter: c.StuckAfter,
		})
	}
	return sensors.NewSampler(sensors.Options{
		Sensors: configs, Clock: sensors.NewClock(sensors.ClockOptions{Boot: machine.BootClock()}), Log: quiet,
		Publish: func([]wire.Record, int64) {}, // the drivers' calls are what is recorded
	})
}
