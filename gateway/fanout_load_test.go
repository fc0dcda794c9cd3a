//go:build linux

package gateway

import (
	"errors"
	"flag"
	"io"
	"log"
	"net/rpc"
	"os"
	"os/exec"
	"testing"
	"time"

	"sensorgateway/scripts/load/swarm"
	"sensorgateway/wire"
)

// loadVariable in the environment makes this program the clients of a benchmark.
const loadVariable = "GATEWAY_TEST_LOAD"

func TestMain(m *testing.M) {
	if os.Getenv(loadVariable) != "" {
		serveLoad()
		return
	}
	_ = flag.Set("test.parallel", "8") // unless -parallel says so: most of their time these tests wait
	m.Run()
}

// pipes is the two pipes between a benchmark and its clients.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error { return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close()) }

// serveLoad does what a [load] says on the standard input, until that is closed.
func serveLoad() {
	s := rpc.NewServer()
	if err := s.RegisterName("load", &loadClients{}); err != nil {
		log.Fatal(err)
	}
	s.ServeConn(pipes{os.Stdin, os.Stdout})
}

// loadClients is the clients, in a process of their own.
type loadClients struct{ swarms []*swarm.Swarm }

// Dial connects the clients of another way.
func (l *loadClients) Dial(o swarm.Options, _ *struct{}) error {
	s, err := swarm.Dial(o)
	l.swarms = append(l.swarms, s)
	return err
}

// LoadRead is the argument of [loadClients.Read].
type LoadRead struct {
	Way, Ticks int
	Within     time.Duration
}

// Read is [swarm.Swarm.Read] of the clients of one way.
func (l *loadClients) Read(r LoadRead, ticks *swarm.Ticks) (err error) {
	*ticks, err = l.swarms[r.Way].Read(r.Ticks, r.Within)
	return err
}

// load is a benchmark's end of the pipes to its clients.
type load struct {
	b       *testing.B
	client  *rpc.Client
	ways    []fanout
	swarms  []swarm.Options // of each way
	records []wire.Record
}

// startLoad runs this program once more, as the clients. They are closed at the
// end of the benchmark, before what was made ahead of them.
func startLoad(b *testing.B) *load {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), loadVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	l := &load{b: b, client: rpc.NewClient(pipes{out, in})}
	b.Cleanup(func() {
		if err := errors.Join(l.client.Close(), cmd.Wait()); err != nil {
			b.Errorf("the clients' process: %v", err)
		}
	})
	return l
}

// dial connects the clients of a way, and sends ticks until one has come to all:
// that they are upgraded does not mean yet that they are subscribed.
func (l *load) dial(way fanout, o swarm.Options) {
	l.b.Helper()
	if err := l.client.Call("load.Dial", o, nil); err != nil {
		l.b.Fatal(err)
	}
	id := len(l.ways)
	l.ways, l.swarms = append(l.ways, way), append(l.swarms, o)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		got := l.read(id, 1, time.Second)
		l.tick(id)
		if seen := got(); len(seen) == 1 && seen.Delivered(o.Clients) == nil {
			return
		}
	}
	l.b.Fatalf("%s: not all clients get ticks", way.name)
}

// tick sends a tick by way of one of the ways. Its time is the present, by which
// the clients know it and how long it took.
func (l *load) tick(way int) {
	n, now := l.swarms[way].Readings, swarm.Monotonic()
	if l.records == nil {
		l.records = make([]wire.Record, n)
	}
	for i := range l.records {
		r := &l.records[i]
		*r = wire.Record{Sensor: uint16(i), Seq: r.Seq + 1, Reading: wire.Reading{Values: [2]float32{20, 40}, UnixMilli: now}}
	}
	l.ways[way].tick(l.records)
}

// pace returns how long a way takes at best to send a tick, if it sends before
// its tick returns.
func (l *load) pace(way int) (best time.Duration) {
	l.b.Helper()
	for i := range 5 {
		got := l.read(way, 1, patience)
		begin := time.Now()
		l.tick(way)
		if took := time.Since(begin); i == 0 || took < best {
			best = took
		}
		got()
	}
	return best
}

// read lets the clients of a way read until n ticks have come to all. The
// function that it returns waits for that.
func (l *load) read(way, n int, within time.Duration) (wait func() swarm.Ticks) {
	var ticks swarm.Ticks
	call := l.client.Go("load.Read", LoadRead{way, n, within}, &ticks, nil)
	return func() swarm.Ticks {
		l.b.Helper()
		if call = <-call.Done; call.Error != nil {
			l.b.Fatal(call.Error)
		}
		return ticks
	}
}
