package kernel_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"sensorgateway/sensors/kernel"
	"sensorgateway/wire"
)

func sense(t *testing.T, d *kernel.Dev, n int) ([]float32, error) {
	t.Helper()
	values := make([]float32, n)
	err := d.Sense(values)
	return values, err
}

func open(t *testing.T, m machine, kind kernel.Kind, id string) *kernel.Dev {
	t.Helper()
	d, err := kernel.NewSource(t.Context(), m.tree(), kind, id, 10*time.Second).Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Units are those of the kernel's documents.
func TestSense(t *testing.T) {
	all := []wire.Quantity{wire.Temperature, wire.Humidity, wire.Pressure}
	tests := []struct {
		name string
		make func(m machine)
		kind kernel.Kind
		want string
	}{
		{"w1", func(m machine) { m.w1("28-0123456789ab", good) }, ds18b20, "[23.125]"},
		{"w1 below zero", func(m machine) {
			m.w1("28-0123456789ab", "5e ff 4b 46 7f ff 02 10 a4 : crc=a4 YES\n5e ff 4b 46 7f ff 02 10 a4 t=-10125\n")
		}, ds18b20, "[-10.125]"},
		{"w1 temperature", func(m machine) {
			m.remove(m.w1("28-0123456789ab", good) + "/w1_slave")
			m.write("sys/devices/w1_bus_master1/28-0123456789ab/temperature", "-10125\n")
		}, ds18b20, "[-10.125]"},
		{"hwmon", func(m machine) {
			m.hwmon("hwmon2", i2c+"1-0044", "sht3x", "temp1_input", "-1503", "humidity1_input", "45012")
		}, sht3x, "[-1.503 45.012]"},
		{"in fog", func(m machine) {
			m.hwmon("hwmon2", i2c+"1-0044", "sht3x", "temp1_input", "4200", "humidity1_input", "104300")
		}, sht3x, "[4.2 100]"},
		{"in dry air", func(m machine) {
			m.hwmon("hwmon2", i2c+"1-0044", "sht3x", "temp1_input", "4200", "humidity1_input", "-1300")
		}, sht3x, "[4.2 0]"},
		{"no humidity of any air", func(m machine) {
			m.hwmon("hwmon2", i2c+"1-0044", "sht3x", "temp1_input", "4200", "humidity1_input", "1043000")
		}, sht3x, "[4.2 1043]"},
		{"dht22", func(m machine) {
			m.iio("iio:device0", soc+"dht11@4", "dht11@4", "in_temp_input", "-1500", "in_humidityrelative_input", "45100")
		}, dht22, "[-1.5 45.1]"},
		{"IIO processed", func(m machine) {
			m.iio("iio:device3", i2c+"1-0076", "bme280", "in_temp_input", "21510", "in_humidityrelative_input", "45012", "in_pressure_input", "101.325390625")
		}, kernel.Kind{Class: kernel.IIO, Name: "bme280", Quantities: all, MaxRead: 1e9}, "[21.51 45.012 1013.2539]"},
		{"IIO bme680", func(m machine) {
			m.iio("iio:device3", i2c+"1-0077", "bme680", "in_temp_input", "21510", "in_humidityrelative_input", "43.215000000", "in_pressure_input", "101.325000000")
		}, kernel.Kind{Class: kernel.IIO, Name: "bme680", Quantities: all, MaxRead: 1e9}, "[21.51 43.215 1013.25]"},
		{"IIO bme680, in the unit of the documents", func(m machine) {
			m.iio("iio:device3", i2c+"1-0077", "bme680", "in_temp_input", "21510", "in_humidityrelative_input", "43215", "in_pressure_input", "101.325000000")
		}, kernel.Kind{Class: kernel.IIO, Name: "bme680", Quantities: all, MaxRead: 1e9}, "[21.51 43.215 1013.25]"},
		{"IIO raw", func(m machine) { // as si7020: T = 175.72·r/65536 − 46.85, RH = 125·r/65536 − 6 of 14 and 12 bits
			m.iio("iio:device1", i2c+"1-0040", "si7020", "in_temp_raw", "6300", "in_temp_offset", "-4368", "in_temp_scale", "10.725097",
				"in_humidityrelative_raw", "1500", "in_humidityrelative_offset", "-192", "in_humidityrelative_scale", "30.517578125")
		}, kernel.Kind{Class: kernel.IIO, Name: "si7020", Quantities: climate, MaxRead: 1e9}, "[20.721 39.916]"},
		{"IIO raw alone", func(m machine) { m.iio("iio:device1", i2c+"1-0040", "x", "in_temp_raw", "6300") },
			kernel.Kind{Class: kernel.IIO, Name: "x", Quantities: thermometer, MaxRead: 1e9}, "[6.3]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			tt.make(m)
			values, err := sense(t, open(t, m, tt.kind, ""), len(tt.kind.Quantities))
			if got := fmt.Sprintf("%.7v", values); err != nil || rounded(got) != rounded(tt.want) {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

// rounded compares what float32 can say of thousandths.
func rounded(s string) string {
	var words []string
	for _, w := range strings.Fields(strings.Trim(s, "[]")) {
		var v float64
		if _, err := fmt.Sscan(w, &v); err != nil {
			return err.Error()
		}
		words = append(words, fmt.Sprintf("%.2f", v))
	}
	return strings.Join(words, " ")
}

// A reading that is no measurement fails with its cause.
func TestFaults(t *testing.T) {
	scratchpad := func(bytes, verdict string, t int) string {
		return fmt.Sprintf("%s : crc=%s %s\n%s t=%d\n", bytes, bytes[len(bytes)-2:], verdict, bytes, t)
	}
	for _, tt := range []struct {
		name, slave string
		fault       wire.Fault
		says        string
	}{
		{"checksum", scratchpad("72 01 4b 46 7f ff 0e 10 58", "NO", 23125), wire.Checksum, "the checksum of 72 01 4b 46 7f ff 0e 10 58 is wrong"},
		{"nobody", scratchpad("ff ff ff ff ff ff ff ff ff", "NO", 23125), wire.NoAck, "does not answer"},
		{"no presence", scratchpad("00 00 00 00 00 00 00 00 00", "NO", 0), wire.NoAck, "does not answer"},
		{"empty", "", wire.NoAck, "does not answer, or each answer's checksum was wrong"},
		{"shorted", scratchpad("00 00 00 00 00 00 00 00 00", "YES", 0), wire.Implausible, "shorted to ground"},
		{"power-up", scratchpad("50 05 4b 46 7f ff 0c 10 1c", "YES", 85000), wire.WarmingUp, "after power-up"},
		{"power-up of a clone", scratchpad("50 05 4b 46 7f ff ff 10 1c", "YES", 85000), wire.WarmingUp, "after power-up"},
		{"85 °C", scratchpad("50 05 4b 46 7f ff 10 10 b4", "YES", 85000), wire.Good, ""},
		{"nonsense", "t=23125", wire.Other, "no reading"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.w1("28-0123456789ab", tt.slave)
			_, err := sense(t, open(t, m, ds18b20, ""), 1)
			if wire.FaultOf(err) != tt.fault || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %v: %s", err, tt.fault, tt.says)
			}
		})
	}
	m := newMachine(t)
	dir := m.w1("28-0123456789ab", good)
	d := open(t, m, ds18b20, "")
	m.remove(dir + "/w1_slave")
	for text, want := range map[string]wire.Fault{"85000": wire.WarmingUp, "": wire.NoAck, "0x12": wire.Other, "84937": wire.Good} {
		m.write(dir+"/temperature", text)
		if _, err := sense(t, d, 1); wire.FaultOf(err) != want {
			t.Errorf("temperature %q: %v, want %v", text, err, want)
		}
	}
}

// unreliable is a tree whose files fail or take their time.
type unreliable struct {
	fstest.MapFS
	err   error
	takes time.Duration
	reads int
}

func (u *unreliable) ReadFile(name string) ([]byte, error) {
	b, err := u.MapFS.ReadFile(name)
	if err != nil || !strings.HasSuffix(name, "w1_slave") {
		return b, err
	}
	u.reads++
	time.Sleep(u.takes)
	if u.err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: u.err}
	}
	return b, nil
}

func newUnreliable() *unreliable {
	return &unreliable{MapFS: fstest.MapFS{"sys/bus/w1/devices/28-0123456789ab/w1_slave": {Data: []byte(good)}}}
}

func TestErrno(t *testing.T) {
	for errno, want := range map[syscall.Errno]wire.Fault{
		syscall.EIO: wire.Checksum, syscall.ENXIO: wire.NoAck, syscall.EAGAIN: wire.Timeout, syscall.ETIMEDOUT: wire.Timeout, syscall.ENODEV: wire.Absent, syscall.ENOENT: wire.Absent,
		syscall.EBADMSG: wire.Checksum, syscall.EACCES: wire.Other,
	} {
		u := newUnreliable()
		d, err := kernel.NewSource(t.Context(), u, ds18b20, "", time.Second).Open()
		if err != nil {
			t.Fatal(err)
		}
		u.err = errno
		if _, err := sense(t, d, 1); wire.FaultOf(err) != want || !errors.Is(err, errno) && want != wire.Absent {
			t.Errorf("%v: %v, want %v", errno, err, want)
		}
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
	}
}

// A reading that is held in the kernel holds its caller no longer than a reading may take, and
// its late result is not that of a later tick.
func TestHeldInTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnreliable()
		u.takes = 5 * time.Second
		ctx, stop := context.WithCancel(t.Context())
		d, err := kernel.NewSource(ctx, u, ds18b20, "", time.Second).Open()
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for i := range 3 {
			if _, err := sense(t, d, 1); wire.FaultOf(err) != wire.Timeout {
				t.Errorf("reading %d: %v", i, err)
			}
		}
		synctest.Wait()
		if took := time.Since(begin); took != 3*ds18b20.MaxRead || u.reads != 1 {
			t.Errorf("%d readings, in %v", u.reads, took)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		u.takes = 750 * time.Millisecond
		if v, err := sense(t, d, 1); err != nil || v[0] != 23.125 || u.reads != 2 {
			t.Errorf("%v, %v, after %d readings", v, err, u.reads)
		}
		// A stop waits for the reading under way, but not for one that hangs.
		stop()
		if _, err := sense(t, d, 1); err != nil {
			t.Error(err)
		}
		u.takes, begin = time.Hour, time.Now()
		if _, err := sense(t, d, 1); wire.FaultOf(err) != wire.Timeout || time.Since(begin) != 900*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) // the goroutine ends with its reading
	})
}

// A device that is opened again while the kernel holds a reading of it is not read: every
// reading would keep an OS thread for ever.
func TestHeldReadingIsTheOnlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnreliable()
		u.takes = time.Hour
		source := kernel.NewSource(t.Context(), u, ds18b20, "", time.Second)
		d, err := source.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sense(t, d, 1); wire.FaultOf(err) != wire.Timeout {
			t.Error(err)
		}
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
		for range 100 {
			if d, err := source.Open(); wire.FaultOf(err) != wire.Timeout || d != nil {
				t.Fatalf("it is opened again while it is held: %v", err)
			}
		}
		synctest.Wait()
		if u.reads != 1 {
			t.Errorf("%d readings", u.reads)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		u.takes = 0
		if d, err = source.Open(); err != nil {
			t.Fatal(err)
		}
		if v, err := sense(t, d, 1); err != nil || v[0] != 23.125 {
			t.Errorf("%v, %v", v, err)
		}
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
	})
}

// A device is found by its name under another number, and never taken for another device that
// has its number now.
func TestComesBackUnderAnotherNumber(t *testing.T) {
	m := newMachine(t)
	dir := m.hwmon("hwmon2", i2c+"1-0044", "sht3x", "temp1_input", "21500", "humidity1_input", "45000")
	d := open(t, m, sht3x, "")
	if v, err := sense(t, d, 2); err != nil || v[0] != 21.5 {
		t.Fatal(v, err)
	}
	m.remove(dir)
	m.remove("sys/class/hwmon/hwmon2")
	m.hwmon("hwmon2", i2c+"1-0048", "lm75", "temp1_input", "99000", "humidity1_input", "1")
	if _, err := sense(t, d, 2); wire.FaultOf(err) != wire.Absent || !strings.Contains(err.Error(), "there are lm75") {
		t.Errorf("unplugged: %v", err)
	}
	m.hwmon("hwmon5", i2c+"1-0044", "sht3x", "temp1_input", "22500", "humidity1_input", "45000")
	if v, err := sense(t, d, 2); err != nil || v[0] != 22.5 {
		t.Errorf("plugged in again: %v, %v", v, err)
	}
}

// A value that the kernel has from before is not a new measurement. The same holds when the
// driver's interval changes, and after the device was away.
func TestUpdateInterval(t *testing.T) {
	for interval, ok := range map[time.Duration]bool{time.Second: false, 2 * time.Second: false, 2001 * time.Millisecond: true} {
		m := newMachine(t)
		dir := m.hwmon("hwmon2", i2c+"1-0044", "sht3x", "temp1_input", "21500", "humidity1_input", "45000", "update_interval", "2000")
		d, err := kernel.NewSource(t.Context(), m.tree(), sht3x, "", interval).Open()
		if err != nil {
			t.Fatal(err)
		}
		is := func(what string, ok bool) {
			t.Helper()
			_, err := sense(t, d, 2)
			if want := "the kernel measures every 2s and gives the same value meanwhile; fix: write interval: 2.1s, or echo "; ok != (err == nil) ||
				err != nil && (!strings.Contains(err.Error(), want) || wire.FaultOf(err) != wire.Other) {
				t.Errorf("%v, %s: %v", interval, what, err)
			}
		}
		is("at first", ok)
		m.write(dir+"/update_interval", "0")
		is("measured at each reading", true)
		m.write(dir+"/update_interval", "2000")
		is("changed", ok)
		m.remove(dir)
		m.remove("sys/class/hwmon/hwmon2")
		m.hwmon("hwmon3", i2c+"1-0044", "sht3x", "temp1_input", "21500", "humidity1_input", "45000", "update_interval", "2000")
		for range 3 {
			is("under another number", ok)
		}
		if err := d.Halt(); err != nil {
			t.Error(err)
		}
	}
}
