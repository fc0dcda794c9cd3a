//go:build linux

package gateway

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"sensorgateway/scripts/load/swarm"
	"sensorgateway/wire"
)

const (
	fanoutRounds = 9 // each measures every way once
	fanoutSlice  = 500 * time.Millisecond
	// fanoutRate is how many frames a second are sent, 100 ticks to 1,000 clients,
	// unless that is more than the machine can take; but no more than fanoutTicks.
	fanoutRate  = 100_000
	fanoutTicks = 200
)

// A fanout is a way to bring a tick to all clients.
type fanout struct {
	name string
	addr string                      // where its clients connect
	tick func(records []wire.Record) // begins to send to all of them
}

// sample is what a slice of time with one way showed.
type sample struct {
	cpu    float64 // of this process, in ns a delivered frame
	allocs uint64  // a tick
	ticks  swarm.Ticks
}

// BenchmarkFanout compares what a frame to a client costs this process, in CPU
// time, on sockets of the same kind: the bare system call, gorilla's chat
// pattern, and ours. The clients are another process, which verifies that each
// of them got each tick. The ways take turns, so that whatever else the machine
// does disturbs them alike, and a ratio is the median of the rounds'.
//
// An operation is the whole measurement. p50 and p99 are ours, from the tick to
// the last client; reading/v1-frame is what one of the eight readings in our
// readings.v2 costs beside a frame of our readings.v1.
func BenchmarkFanout(b *testing.B) {
	single := map[int]float64{} // a frame of our readings.v1, by number of clients
	for _, clients := range []int{100, 1000, 5000} {
		for _, kind := range []struct {
			protocol string
			sensors  int
		}{{wire.ReadingsV1, 1}, {wire.ReadingsV2, 8}} {
			b.Run(fmt.Sprintf("%s/clients=%d", kind.protocol, clients), func(b *testing.B) {
				ways := []fanout{bareFanout(b), chatFanout(b), ourFanout(b, kind.sensors)}
				needFiles(b, len(ways)*clients)
				samples := turns(b, ways, swarm.Options{Protocol: kind.protocol, Clients: clients, Readings: kind.sensors})
				ours := report(b, ways, samples)
				if kind.protocol == wire.ReadingsV1 {
					single[clients] = ours
				} else if single[clients] > 0 {
					b.ReportMetric(ours/float64(kind.sensors)/single[clients], "reading/v1-frame")
				}
			})
		}
	}
}

// turns measures the ways, the bare one first, and returns the samples of each.
func turns(b *testing.B, ways []fanout, clients swarm.Options) [][]sample {
	load := startLoad(b)
	for _, way := range ways {
		clients.Addr = way.addr
		load.dial(way, clients)
	}
	every := max(time.Second*time.Duration(clients.Clients)/fanoutRate, time.Second/fanoutTicks, load.pace(0)*4/3)
	b.ReportMetric(float64(time.Second)/float64(every), "Hz")
	b.ReportMetric(0, "ns/op")
	samples := make([][]sample, len(ways))
	for range b.N {
		for round := range fanoutRounds {
			for i := range ways {
				way := (i + round) % len(ways) // none is always first
				samples[way] = append(samples[way], load.measure(way, every))
			}
		}
	}
	return samples
}

// measure sends ticks for a slice of time and returns what they cost.
func (l *load) measure(way int, every time.Duration) sample {
	l.b.Helper()
	s, n := l.swarms[way], max(int(fanoutSlice/every), 10)
	got := l.read(way, n, time.Duration(n)*every+patience)
	tock := time.NewTicker(every)
	defer tock.Stop()
	runtime.GC() // what the others left behind is not this one's
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := cpuTime(l.b)
	for range n {
		<-tock.C
		l.tick(way)
	}
	seen := got()
	spent := cpuTime(l.b) - begin
	runtime.ReadMemStats(&after)
	if err := seen.Delivered(s.Clients); err != nil || len(seen) != n {
		l.b.Fatalf("%s: %d of %d ticks came: %v", l.ways[way].name, len(seen), n, err)
	}
	return sample{
		cpu:    float64(spent) / float64(n*s.Clients),
		allocs: (after.Mallocs - before.Mallocs) / uint64(n),
		ticks:  seen,
	}
}

// report tells what the samples show, and returns what a frame of ours, the last
// way, costs.
func report(b *testing.B, ways []fanout, samples [][]sample) float64 {
	last := len(ways) - 1
	ours := samples[last]
	for i, way := range ways {
		b.ReportMetric(cost(samples[i]), way.name+"-ns/frame")
		if i == last {
			break
		}
		ratios := make([]float64, len(ours))
		for round := range ours {
			ratios[round] = ours[round].cpu / samples[i][round].cpu
		}
		b.ReportMetric(median(ratios), "ours/"+way.name)
	}
	var ticks swarm.Ticks
	var allocs []uint64
	for _, s := range ours {
		ticks = append(ticks, s.ticks...)
		allocs = append(allocs, s.allocs)
	}
	b.ReportMetric(float64(ticks.Last(0.50))/1e6, "p50-ms")
	b.ReportMetric(float64(ticks.Last(0.99))/1e6, "p99-ms")
	b.ReportMetric(float64(median(allocs)), "allocs/tick")
	return cost(ours)
}

// cost returns what a frame costs, in ns of CPU time.
func cost(samples []sample) float64 {
	all := make([]float64, len(samples))
	for i, s := range samples {
		all[i] = s.cpu
	}
	return median(all)
}

func median[T cmp.Ordered](of []T) T { return slices.Sorted(slices.Values(of))[len(of)/2] }

// cpuTime returns the CPU time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// needFiles skips a benchmark that needs more open files than there may be. (The
// runtime has raised the limit as far as it goes.)
func needFiles(b *testing.B, n int) {
	b.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	if need := uint64(n) + 100; limit.Cur < need {
		b.Skipf("needs %d open files, and there may be %d (ulimit -Hn)", need, limit.Cur)
	}
}
