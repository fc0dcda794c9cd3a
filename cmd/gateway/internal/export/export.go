// Package export has the subcommand that writes the log of readings of this machine's
// gateway, as a whole or summed up, for programs and for spreadsheets.
//
// It refuses to know where the log is and how its files are read: main passes that in.
package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/cmd/gateway/internal/spreadsheet"
	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// LogReader is a log of readings on a disk, to which a gateway may be writing.
type LogReader interface {
	Sensors() []string
	// Sensor returns what the newest values of a sensor are; ok is false if the gateway that
	// wrote them did not say so. err says why it is not known what corrected the values.
	Sensor(name string) (s wire.SensorInfo, ok bool, err error)
	Entries(sensor string) []values.Entry // what its values were, from when on
	Between(sensor string, from, to int64) (next func() ([]wire.Record, error))
	Buckets(sensor string, from, to, step int64) (next func() ([]wire.Bucket, error))
}

// Log is how the log of readings on this machine is found and read.
type Log struct {
	Flags *pflag.FlagSet // with which a user says where it is
	// Find returns the directory that they say, and the sensors of the configuration, if
	// one was read: the log of an older gateway does not say what its values are.
	Find func() (dir string, configured []wire.SensorInfo, err error)
	// Open opens it, for the values or for what was measured. damaged is called with
	// readings that are found to be unreadable.
	Open func(dir string, measured bool, damaged func(why string, readings int)) (LogReader, error)
}

// exportOptions are the flags of export.
type exportOptions struct {
	output, format string
	decimal, times string
	sensors        []string
	from, to, step string
	measured       bool
}

// Command writes the readings that are in the log on this machine.
func Command(env console.Env, log Log) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the readings that the gateway has kept, as CSV, JSON or binary",
		Long: "Writes the readings that a gateway on this machine has kept, sensor by sensor, in the order they were\n" +
			"made. It reads the log's files, so the gateway may be running or not, and waits for nothing.\n\n" +
			"A TIME is RFC 3339 (2026-03-01T06:00:00Z), Unix milliseconds, or a duration back from now (-90m, -7d).\n" +
			"JSON is one object a sensor, each on a line; binary are the 24-byte records of readings.v2, where the\n" +
			"sensors of the log are numbered from 0 in alphabetical order.\n\n" +
			"Values are as clients saw them, corrected as the configuration of then said; with --measured as the chips\n" +
			"measured them. What corrected them is in the JSON, as \"corrections\", and otherwise on standard error.",
		Example: "  gateway export --from -24h --step 1m > day.csv\n" +
			"  sudo -u gateway gateway export --sensor indoor --format json | jq .readings[0]",
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := o.parse(time.Now())
			if err != nil {
				return console.UsageError{Err: err}
			}
			dir, configured, err := log.Find()
			if err != nil {
				return err
			}
			e.log, err = log.Open(dir, o.measured, func(why string, readings int) {
				fmt.Fprintf(env.Stderr, "%d readings are left out: %s\n", readings, why)
			})
			if err != nil {
				return explainLogError(dir, err)
			}
			if err = e.choose(dir, o.sensors, configured, env.Stderr); err != nil {
				return err
			}
			if !e.format(nil).object {
				e.printCorrections(env.Stderr)
			}
			return writeOutput(o.output, env.Stdout, func(w *bufio.Writer) error { return e.write(cmd.Context(), w) })
		},
	}
	f := cmd.Flags()
	f.AddFlagSet(log.Flags)
	f.StringArrayVar(&o.sensors, "sensor", nil, "`name` of a sensor; can be given again (default: all)")
	f.StringVar(&o.from, "from", "", "`time` of the first reading (default: the oldest)")
	f.StringVar(&o.to, "to", "", "`time` before which the last one was made (default: the newest)")
	f.StringVar(&o.step, "step", "", "`duration` to sum up: count, least, mean and greatest of each 1m, 1h, 1d …")
	f.StringVar(&o.format, "format", "csv", "csv, json or binary")
	f.StringVar(&o.decimal, "decimal", ".", "`sign` before decimals in CSV; with a comma, columns are separated by semicolons")
	f.StringVar(&o.times, "times", "utc", "of CSV: utc, or local, which is this machine's `zone`; the column unix_ms stays")
	f.BoolVar(&o.measured, "measured", false, "uncorrected values, as the chips measured them")
	f.StringVar(&o.output, "output", "", "`file` to write; it appears once it is whole (default: standard output)")
	return cmd
}

// parse checks what can be checked before the log is there.
func (o *exportOptions) parse(now time.Time) (e *export, err error) {
	e = &export{from: phrase.FirstTime, to: phrase.EndTime, measured: o.measured}
	if e.format, err = parseFormat(o.format); err != nil {
		return nil, err
	}
	if e.form, err = o.form(); err != nil {
		return nil, err
	}
	if o.from != "" {
		if e.from, err = phrase.ParseTime(o.from, now); err != nil {
			return nil, fmt.Errorf("--from %w", err)
		}
	}
	if o.to != "" {
		if e.to, err = phrase.ParseTime(o.to, now); err != nil {
			return nil, fmt.Errorf("--to %w", err)
		}
	}
	if e.from >= e.to {
		return nil, fmt.Errorf("--from %s is not before --to %s", phrase.FormatTime(e.from), phrase.FormatTime(e.to))
	}
	if o.step == "" {
		return e, nil
	}
	step, err := phrase.ParseDuration(o.step)
	switch {
	case err != nil || step < time.Millisecond || step%time.Millisecond != 0:
		return nil, fmt.Errorf("--step %s is no duration of whole milliseconds (write 10s, 1m, 1h or 1d)", phrase.Quote(o.step))
	case e.format(nil).bucket == nil:
		return nil, fmt.Errorf("--step goes with csv and json: %s has records, and no sums of them", o.format)
	}
	e.step = step.Milliseconds()
	return e, nil
}

// form returns how numbers and times are written.
func (o *exportOptions) form() (f spreadsheet.Form, err error) {
	switch {
	case o.decimal != "." && o.decimal != ",":
		return f, fmt.Errorf("--decimal %s: it is . or ,", phrase.Quote(o.decimal))
	case o.times != "utc" && o.times != "local":
		return f, fmt.Errorf("--times %s: it is utc or local", phrase.Quote(o.times))
	}
	f.Comma = o.decimal == ","
	if o.times == "local" {
		f.Zone = time.Local
	}
	if f != (spreadsheet.Form{}) && o.format != "csv" {
		return f, fmt.Errorf("--decimal and --times go with csv: %s has one form", o.format)
	}
	return f, nil
}

// explainLogError says why there is no log in dir, and what helps.
func explainLogError(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no log in %s: a gateway writes one once it runs with a state directory; fix: name that with --state", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("log in %s: permission denied; fix: run this as the user who owns it (sudo -u gateway gateway export …)", dir)
	}
	return fmt.Errorf("log in %s: %w; fix: name the gateway's state directory with --state", dir, err)
}

// choose takes the sensors to export, all if none is named.
func (e *export) choose(dir string, names []string, configured []wire.SensorInfo, stderr io.Writer) error {
	there := e.log.Sensors()
	if len(names) == 0 {
		names = there
	}
	for _, name := range names {
		if !slices.Contains(there, name) {
			has := "has " + strings.Join(there, ", ")
			if len(there) == 0 {
				has = "is empty"
			}
			return fmt.Errorf("no sensor %s: the log in %s %s", phrase.Quote(name), dir, has)
		}
		sensor := wire.SensorInfo{Name: name}
		stored, known, err := e.log.Sensor(name)
		if err != nil && len(e.sensors) == 0 { // it is the same for all
			fmt.Fprintln(stderr, err)
		}
		for _, c := range append(slices.Clip(configured), stored) {
			if c.Name == name && (known || len(c.Values) > 0) {
				sensor.Values = c.Values // what is stored comes last, and counts
			}
		}
		e.sensors = append(e.sensors, sensor)
	}
	return nil
}

const outputBuffer = 64 << 10 // bytes

// writeOutput writes to stdout if path is "", else to that file, which appears once
// it is complete.
func writeOutput(path string, stdout io.Writer, write func(*bufio.Writer) error) error {
	if path == "" {
		w := bufio.NewWriterSize(stdout, outputBuffer)
		err := write(w)
		return errors.Join(err, w.Flush()) // what could be read is of use too
	}
	temp := path + atomicfile.TempSuffix
	direct := false // to a pipe or a device, which cannot be replaced
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		temp, direct = path, true
	}
	f, err := os.Create(temp)
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	all := func() error {
		w := bufio.NewWriterSize(f, outputBuffer)
		if err := write(w); err != nil {
			return err
		}
		return w.Flush()
	}
	if direct {
		return errors.Join(all(), f.Close())
	}
	return atomicfile.Commit(atomicfile.OS{}, f, temp, path, all)
}

// export is what is to be written.
type export struct {
	log      LogReader
	sensors  []wire.SensorInfo
	from, to int64 // Unix ms; to is not in it
	step     int64 // ms; 0 is each reading
	measured bool  // the values are not corrected
	format   func(wire.CSV) exportFormat
	form     spreadsheet.Form
}

// write writes sensor by sensor, a batch at a time.
func (e *export) write(ctx context.Context, w *bufio.Writer) error {
	format := e.format(e.columns()).in(e.form)
	if _, err := w.WriteString(format.header(e.step)); err != nil {
		return err
	}
	for i := range e.sensors {
		if err := e.writeSensor(ctx, w, &e.sensors[i], format); err != nil {
			return fmt.Errorf("%s: %w", e.sensors[i].Name, err)
		}
	}
	return nil
}

// columns are all that one of the sensors measures.
func (e *export) columns() (all wire.CSV) {
	for i := range e.sensors {
		for _, q := range e.sensors[i].Quantities() {
			if !slices.Contains(all, q) {
				all = append(all, q)
			}
		}
	}
	return all
}

func (e *export) writeSensor(ctx context.Context, w *bufio.Writer, sensor *wire.SensorInfo, format exportFormat) error {
	_, err := w.Write(format.begin(sensor, e.from, e.to, e.step, e.corrections(sensor.Name)))
	switch {
	case err != nil:
	case e.step > 0:
		err = wire.WriteRows(ctx, w, sensor, format.separator, e.log.Buckets(sensor.Name, e.from, e.to, e.step), format.bucket)
	default:
		err = wire.WriteRows(ctx, w, sensor, format.separator, e.log.Between(sensor.Name, e.from, e.to), format.reading)
	}
	switch {
	case err == nil:
		_, err = w.WriteString(format.end)
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	}
	return err
}
