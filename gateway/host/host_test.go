package host

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tree is a machine's root directory, of the files that are named.
func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

// with returns the files with some of them changed; "-" removes one.
func with(files map[string]string, changes ...string) map[string]string {
	changed := map[string]string{}
	for name, content := range files {
		changed[name] = content
	}
	for i := 0; i < len(changes); i += 2 {
		if changed[changes[i]] = changes[i+1]; changes[i+1] == "-" {
			delete(changed, changes[i])
		}
	}
	return changed
}

const devHeading = "Inter-|   Receive                                                |  Transmit\n" +
	" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"

func dev(name string, received, sent uint64) string {
	return fmt.Sprintf("%6s: %7d     100    0    0    0     0          0         0 %8d     100    0    0    0     0       0          0\n",
		name, received, sent)
}

// A Raspberry Pi Zero W: one core, a 32-bit kernel, wireless only, and a name
// of the process that is meant to confuse.
var piZero = map[string]string{
	"proc/stat":                              "cpu  1000 0 500 8000 400 0 100 0 0 0\ncpu0 1000 0 500 8000 400 0 100 0 0 0\nintr 1 2 3\n",
	"proc/loadavg":                           "0.42 0.30 0.25 1/98 712\n",
	"proc/uptime":                            "86461.55 80012.10\n",
	"proc/meminfo":                           "MemTotal:         441548 kB\nMemFree:           51984 kB\nMemAvailable:     287324 kB\nBuffers:           30000 kB\n",
	"proc/self/stat":                         "612 (gate) way) S 1 612 612 0 -1 4194560 1500 0 3 0 1234 567 0 0 20 0 9 0 4321 12345678 3000 4294967295\n",
	"proc/self/status":                       "Name:\tgateway\nVmPeak:\t  812000 kB\nVmRSS:\t   11236 kB\nThreads:\t9\n",
	"proc/self/net/dev":                      devHeading + dev("lo", 5000, 5000) + dev("wlan0", 4294967000, 1000),
	"proc/self/fd/0":                         "",
	"proc/self/fd/1":                         "",
	"proc/self/fd/2":                         "",
	"proc/self/fd/7":                         "",
	"sys/class/net/wlan0/device/uevent":      "",
	"sys/class/thermal/thermal_zone0/type":   "cpu-thermal\n",
	"sys/class/thermal/thermal_zone0/temp":   "41160\n",
	"sys/class/hwmon/hwmon0/name":            "cpu_thermal\n",
	"sys/class/hwmon/hwmon0/temp1_input":     "41160\n",
	"sys/class/hwmon/hwmon1/name":            "rpi_volt\n",
	"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
	"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
}

// A Raspberry Pi 5 with containers on it, and an SHT3x that the kernel reads.
var pi5 = map[string]string{
	"proc/stat": "cpu  400000 10 200000 9000000 1000 0 5000 0 0 0\ncpu0 1 2 3 4 5 6 7 0 0 0\n",
	"proc/self/net/dev": devHeading + dev("lo", 1, 1) + dev("eth0", 1000000, 2000000) + dev("wlan0", 500, 600) +
		dev("docker0", 900000, 900000) + dev("veth12ab", 900000, 900000),
	"sys/class/net/eth0/device/uevent":                                          "",
	"sys/class/net/wlan0/device/uevent":                                         "",
	"sys/class/net/docker0/address":                                             "",
	"sys/class/hwmon/hwmon0/name":                                               "cpu_thermal\n",
	"sys/class/hwmon/hwmon0/temp1_input":                                        "52350\n",
	"sys/class/hwmon/hwmon1/name":                                               "sht3x\n",
	"sys/class/hwmon/hwmon1/temp1_input":                                        "19000\n",
	"sys/class/hwmon/hwmon2/name":                                               "rpi_volt\n",
	"sys/class/hwmon/hwmon2/in0_lcrit_alarm":                                    "1\n",
	"sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "80008\n",
}

// A PC: no firmware that reports its supply.
var pc = map[string]string{
	"proc/stat":                            "cpu  100 0 100 800 0 0 0 0 0 0\n",
	"proc/meminfo":                         "MemTotal:       16303184 kB\nMemAvailable:   12000000 kB\n",
	"sys/class/thermal/thermal_zone0/type": "acpitz\n",
	"sys/class/thermal/thermal_zone0/temp": "27800\n",
	"sys/class/thermal/thermal_zone1/type": "x86_pkg_temp\n",
	"sys/class/thermal/thermal_zone1/temp": "61000\n",
	"sys/class/hwmon/hwmon0/name":          "nvme\n",
	"sys/class/hwmon/hwmon0/temp1_input":   "39850\n",
}

func TestMachines(t *testing.T) {
	no, yes, was := &Condition{}, &Condition{Now: true, Occurred: true}, &Condition{Occurred: true}
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  Stats
	}{
		{"Pi Zero", piZero, Stats{
			Load1: new(0.42), CPUTemperature: new(41.16), Uptime: new(86461.55),
			Throttled:   &Throttled{UnderVoltage: yes, FrequencyCapped: no, Throttled: yes, SoftTemperatureLimit: no},
			MemoryTotal: new(uint64(441548 << 10)), MemoryAvailable: new(uint64(287324 << 10)),
			Received: new(uint64(4294967000)), Sent: new(uint64(1000)),
			ProcessCPU: new(18.01), ProcessMemory: new(uint64(11236 << 10)), ProcessFiles: new(uint64(3)),
		}},
		{"Pi 5", pi5, Stats{
			CPUTemperature: new(52.35),
			Throttled:      &Throttled{UnderVoltage: no, FrequencyCapped: no, Throttled: no, SoftTemperatureLimit: yes},
			Received:       new(uint64(1000500)), Sent: new(uint64(2000600)),
		}},
		{"PC", pc, Stats{
			CPUTemperature: new(61.0),
			MemoryTotal:    new(uint64(16303184 << 10)), MemoryAvailable: new(uint64(12000000 << 10)),
		}},
		{"none", nil, Stats{}},
		{"it was throttled, and is not", map[string]string{"sys/devices/platform/soc/soc:firmware/get_throttled": "0x60000\n"},
			Stats{Throttled: &Throttled{UnderVoltage: no, FrequencyCapped: was, Throttled: was, SoftTemperatureLimit: no}}},
		{"only the voltage is reported", map[string]string{
			"sys/class/hwmon/hwmon3/name": "rpi_volt\n", "sys/class/hwmon/hwmon3/in0_lcrit_alarm": "1\n",
		}, Stats{Throttled: &Throttled{UnderVoltage: yes}}},
		{"a zone that cannot measure", map[string]string{
			"sys/class/thermal/thermal_zone0/type": "cpu-thermal", "sys/class/thermal/thermal_zone0/temp": "-274000",
			"sys/class/hwmon/hwmon0/name": "coretemp", "sys/class/hwmon/hwmon0/temp1_input": "-5500",
		}, Stats{CPUTemperature: new(-5.5)}},
		{"other sensors are left alone", map[string]string{
			"sys/class/hwmon/hwmon0/name": "sht3x", "sys/class/hwmon/hwmon0/temp1_input": "21000",
		}, Stats{}},
		{"a container", map[string]string{
			"proc/self/net/dev": devHeading + dev("lo", 9, 9) + dev("eth0", 10, 20),
		}, Stats{Received: new(uint64(10)), Sent: new(uint64(20))}},
		{"a modem on a serial line", map[string]string{
			"proc/self/net/dev": devHeading + dev("eth0", 1, 2) + dev("ppp0", 10, 20) + dev("tun0", 9, 9), "sys/class/net/eth0/device/uevent": "",
		}, Stats{Received: new(uint64(11)), Sent: new(uint64(22))}},
		{"only the loopback", map[string]string{"proc/self/net/dev": devHeading + dev("lo", 9, 9)}, Stats{}},
		{"nonsense", map[string]string{
			"proc/stat": "cpu", "proc/loadavg": "NaN", "proc/uptime": "-1", "proc/meminfo": "MemTotal: lots\nMemAvailable:\n",
			"proc/self/stat": "1 (x", "proc/self/status": "VmRSS: kB", "proc/self/net/dev": "eth0: 12\n",
			"sys/class/thermal/thermal_zone0/type": "cpu-thermal", "sys/class/thermal/thermal_zone0/temp": "warm",
			"sys/devices/platform/soc/soc:firmware/get_throttled": "no",
		}, Stats{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, NewReader(tree(tt.files), "").Read()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Two readings, two seconds apart.
func TestRates(t *testing.T) {
	stat := func(user, idle, iowait int) string {
		return fmt.Sprintf("cpu  %d 0 0 %d %d 0 0 0 50 0\n", user, idle, iowait)
	}
	eth := func(s string) map[string]string {
		return map[string]string{"proc/self/net/dev": s, "sys/class/net/eth0/device/x": "", "sys/class/net/wlan0/device/x": ""}
	}
	for _, tt := range []struct {
		name          string
		before, after map[string]string
		want          Stats
	}{
		{"a quarter busy", map[string]string{"proc/stat": stat(1000, 5000, 100)}, map[string]string{"proc/stat": stat(1100, 5250, 150)},
			Stats{CPU: new(0.25)}},
		{"idle", map[string]string{"proc/stat": stat(1000, 5000, 100)}, map[string]string{"proc/stat": stat(1000, 5200, 100)}, Stats{CPU: new(0.0)}},
		{"all busy, and iowait decreases", map[string]string{"proc/stat": stat(1000, 5000, 100)}, map[string]string{"proc/stat": stat(1200, 5000, 90)},
			Stats{CPU: new(1.0)}},
		{"no time passed", map[string]string{"proc/stat": stat(1000, 5000, 100)}, map[string]string{"proc/stat": stat(1000, 5000, 100)}, Stats{}},
		{"counters went back", map[string]string{"proc/stat": stat(1000, 5000, 100)}, map[string]string{"proc/stat": stat(10, 50, 1)}, Stats{}},
		{"gone", map[string]string{"proc/stat": stat(1000, 5000, 100)}, nil, Stats{}},
		{"came", nil, map[string]string{"proc/stat": stat(1000, 5000, 100)}, Stats{}},
		{"traffic", eth(dev("eth0", 1000, 2000)), eth(dev("eth0", 3000, 2000)),
			Stats{Received: new(uint64(3000)), Sent: new(uint64(2000)), ReceivedRate: new(1000.0), SentRate: new(0.0)}},
		{"a counter wraps at 32 bits", eth(dev("wlan0", 1<<32-100, 7)), eth(dev("wlan0", 600, 7)),
			Stats{Received: new(uint64(1<<32 + 500)), Sent: new(uint64(7)), ReceivedRate: new(300.0), SentRate: new(0.0)}},
		{"an interface goes", eth(dev("eth0", 1000, 1000) + dev("wlan0", 5000, 5000)), eth(dev("eth0", 1200, 1000)),
			Stats{Received: new(uint64(6200)), Sent: new(uint64(6000)), ReceivedRate: new(100.0), SentRate: new(0.0)}},
		{"an interface comes", eth(dev("eth0", 1000, 1000)), eth(dev("eth0", 1000, 1000) + dev("wlan0", 40, 20)),
			Stats{Received: new(uint64(1040)), Sent: new(uint64(1020)), ReceivedRate: new(20.0), SentRate: new(10.0)}},
		{"the hardware goes, and a tunnel stays", eth(dev("eth0", 1000, 1000) + dev("tun0", 900, 900)), eth(dev("tun0", 904, 902)),
			Stats{Received: new(uint64(1004)), Sent: new(uint64(1002)), ReceivedRate: new(2.0), SentRate: new(1.0)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewReader(tree(tt.before), "")
				if s := r.Read(); s.CPU != nil || s.ReceivedRate != nil || s.SentRate != nil {
					t.Error("the first reading has rates")
				}
				time.Sleep(2 * time.Second)
				r.fsys = tree(tt.after)
				if diff := cmp.Diff(tt.want, r.Read()); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}

func TestTwoReadingsAtOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReader(tree(piZero), "")
		if diff := cmp.Diff(r.Read(), r.Read()); diff != "" {
			t.Errorf("the second differs: %s", diff)
		}
	})
}

// The firmware forgets within two seconds; the reader does not.
func TestUnderVoltageIsRemembered(t *testing.T) {
	const file = "sys/devices/platform/soc/soc:firmware/get_throttled"
	r := NewReader(tree(nil), "")
	var got []string
	for _, bits := range []string{"0", "10000", "0", "1", "0"} {
		r.fsys = tree(with(piZero, file, bits))
		c := r.Read().Throttled.UnderVoltage
		got = append(got, fmt.Sprint(c.Now, " ", c.Occurred))
	}
	// With the other source, what has occurred is still known.
	r.fsys = tree(with(piZero, file, "-"))
	c := r.Read().Throttled.UnderVoltage
	got = append(got, fmt.Sprint(c.Now, " ", c.Occurred))
	want := []string{"false false", "false true", "false true", "true true", "false true", "false true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJSON(t *testing.T) {
	got, err := json.Marshal(NewReader(tree(piZero), "").Read())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Join([]string{
		`{"load1":0.42`, `"cpu_temperature_celsius":41.16`,
		`"throttled":{"under_voltage":{"now":true,"occurred":true},"frequency_capped":{"now":false,"occurred":false}`,
		`"throttled":{"now":true,"occurred":true},"soft_temperature_limit":{"now":false,"occurred":false}}`,
		`"memory_total_bytes":452145152`, `"memory_available_bytes":294219776`, `"uptime_seconds":86461.55`,
		`"network_receive_bytes":4294967000`, `"network_transmit_bytes":1000`,
		`"process_cpu_seconds":18.01`, `"process_resident_memory_bytes":11505664`, `"process_open_fds":3}`,
	}, ","), string(got)); diff != "" {
		t.Error(diff)
	}
	if got, _ := json.Marshal(NewReader(tree(nil), "").Read()); string(got) != "{}" {
		t.Errorf("a machine that reports nothing is %s", got)
	}
}

// The machine that runs the tests: the numbers must be plausible.
func TestThisMachine(t *testing.T) {
	s := NewReader(Root("/"), t.TempDir()).Read()
	if runtime.GOOS != "linux" {
		return
	}
	switch {
	case s.MemoryTotal == nil || *s.MemoryTotal < 1<<20:
		t.Error("no memory")
	case s.ProcessMemory == nil || *s.ProcessMemory < 1<<20 || *s.ProcessMemory > *s.MemoryTotal:
		t.Error("this process has no memory")
	case s.ProcessFiles == nil || *s.ProcessFiles < 1 || s.ProcessCPU == nil || s.Uptime == nil || s.Load1 == nil:
		t.Errorf("something is missing: %+v", s)
	case s.DiskFree == nil || *s.DiskFree == 0:
		t.Error("no space to run tests in")
	}
	if s := NewReader(tree(nil), t.TempDir()+"/none").Read(); s.DiskFree != nil {
		t.Errorf("%d bytes free in a directory that is not there", *s.DiskFree)
	}
}

// Where the kernel says how many files are open, they are not listed.
func TestOpenFilesAreNotListed(t *testing.T) {
	fsys := tree(piZero)
	fsys["proc/self/fd"] = &fstest.MapFile{Mode: fs.ModeDir | 0o500, Data: make([]byte, 5012)} // its size
	if n := NewReader(fsys, t.TempDir()).Read().ProcessFiles; n == nil || *n != 5012 {
		t.Errorf("%v files, want 5012", n)
	}
}

// Whatever the files say, the numbers are numbers.
func FuzzRead(f *testing.F) {
	f.Add(piZero["proc/stat"], piZero["proc/self/net/dev"], piZero["proc/self/stat"], "41160")
	f.Add("cpu 1 2 3 4 5 6 7 8", dev("eth0", math.MaxUint64, 1), "1 (", "-274000")
	f.Add("cpu 18446744073709551615 1 1 1 1 1 1 1", "::::", "))) NaN Inf", "1e400")
	f.Fuzz(func(t *testing.T, stat, net, process, number string) {
		synctest.Test(t, func(t *testing.T) {
			files := map[string]string{
				"proc/stat": stat, "proc/self/net/dev": net, "proc/self/stat": process,
				"proc/loadavg": number, "proc/uptime": number, "proc/meminfo": net, "proc/self/status": process,
				"sys/class/thermal/thermal_zone0/type": "cpu-thermal", "sys/class/thermal/thermal_zone0/temp": number,
				"sys/devices/platform/soc/soc:firmware/get_throttled": number,
			}
			r := NewReader(tree(with(files, "proc/stat", "cpu 1 1 1 1 1 1 1 1", "proc/self/net/dev", dev("eth0", 5, 5))), "")
			r.Read()
			time.Sleep(time.Second)
			r.fsys = tree(files)
			s := r.Read()
			if _, err := json.Marshal(s); err != nil {
				t.Error(err)
			}
			if s.CPU != nil && !(*s.CPU >= 0 && *s.CPU <= 1) {
				t.Errorf("CPU %v", *s.CPU)
			}
			if s.ReceivedRate != nil && !(*s.ReceivedRate >= 0) || s.SentRate != nil && !(*s.SentRate >= 0) {
				t.Error("a rate below zero")
			}
		})
	})
}

func BenchmarkRead(b *testing.B) {
	r := NewReader(Root("/"), b.TempDir())
	b.ReportAllocs()
	for b.Loop() {
		r.Read()
	}
}
