package console

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

func reading(name string, temperature, humidity float32) client.Record {
	return client.Record{Name: name, Record: wire.Record{Reading: wire.Reading{Values: [2]float32{temperature, humidity}}}}
}

func failed(name string, f wire.Fault) client.Record {
	return client.Record{Name: name, Record: wire.Record{Fault: f, Reading: wire.Failed(f, 0)}}
}

func changed(r client.Record, change func(*client.Record)) client.Record {
	change(&r)
	return r
}

var watchHello = client.Connected{Hello: wire.Hello{Server: "gateway", Simulated: true, ClockSynced: false, Sensors: []wire.SensorInfo{
	{Name: "indoor", IntervalMS: 100}, {Name: "outdoor", IntervalMS: 100},
}}}

// What the table shows as things happen, at times since the beginning.
func TestTable(t *testing.T) {
	type step struct {
		at   time.Duration
		what client.Event
	}
	const ms, s = time.Millisecond, time.Second
	lost := client.Disconnected{Err: errors.New("connection \x1b[2Jlost"), Wait: 4 * s}
	for _, tt := range []struct {
		name  string
		steps []step
		at    time.Duration
		want  string
	}{
		{"before anything", nil, 0, `
ws://pi:8765/  connecting

sensor  temperature  humidity  rate/s     age  quality          recovered  lost
`},
		{"hello", []step{{0, watchHello}}, 0, `
ws://pi:8765/  connected  SIMULATED  clock not synchronised

sensor   temperature  humidity  rate/s     age  quality          recovered  lost
indoor             –         –       –       –  –                        0     0
outdoor            –         –       –       –  –                        0     0
`},
		{"readings, one of them failed, and a round trip", []step{
			{0, watchHello}, {0, client.Records{reading("indoor", 21.5, 45.25),
				changed(failed("outdoor", wire.NoAck), func(r *client.Record) { r.Flags = wire.ClockUnsynced })}},
			{10 * ms, client.RoundTrip(3210 * time.Microsecond)},
		}, 94 * ms, `
ws://pi:8765/  connected  round trip 3.2 ms  SIMULATED  clock not synchronised

sensor   temperature  humidity  rate/s     age  quality          recovered  lost
indoor      21.50 °C    45.2 %       –   94 ms  good                     0     0
outdoor            –         –       –   94 ms  no_ack                   0     0
`},
		{"gaps; the flags follow the records", []step{
			{0, watchHello}, {0, client.Records{
				changed(reading("indoor", -10, 100), func(r *client.Record) { r.Missed = 12 }),
				changed(reading("outdoor", 5.125, 0), func(r *client.Record) { r.Missed, r.Flags = 7, wire.Conflated|wire.ClockUnsynced }),
				changed(reading("outdoor", 9, 9), func(r *client.Record) { r.Flags = wire.Historical }),
			}},
			{0, client.Records{reading("attic", 1, 2)}},
		}, 5 * ms, `
ws://pi:8765/  connected  SIMULATED

sensor   temperature  humidity  rate/s     age  quality          recovered  lost
indoor     -10.00 °C   100.0 %       –  5.0 ms  good                     0    12
outdoor      5.12 °C     0.0 %       –  5.0 ms  good, conflated          1     0
attic        1.00 °C     2.0 %       –  5.0 ms  good                     0     0
`},
		{"what was missed is replayed, but for what is no longer stored", []step{
			{0, watchHello}, {0, client.Records{reading("indoor", 21.5, 45)}}, {0, lost}, {5 * s, watchHello},
			{5 * s, client.Resumed{Gone: map[string]uint32{"indoor": 100}}},
			{5 * s, client.Records{changed(reading("indoor", 20, 40), func(r *client.Record) { r.Missed = 11 }),
				changed(reading("indoor", 1, 1), func(r *client.Record) { r.Flags = wire.Historical })}},
			{5 * s, client.Replayed{Recovered: map[string]uint32{"indoor": 1}, Lost: map[string]uint32{"indoor": 100, "outdoor": 2}}},
		}, 5 * s, `
ws://pi:8765/  connected  SIMULATED

sensor   temperature  humidity  rate/s     age  quality          recovered  lost
indoor      20.00 °C    40.0 %     0.0  0.0 ms  good                     1   111
outdoor            –         –       –       –  –                        0     2
`},
		{"another epoch", []step{{0, watchHello}, {0, lost}, {5 * s, watchHello}, {5 * s, client.Resumed{Anew: true}}}, 5 * s, `
ws://pi:8765/  connected  SIMULATED  clock not synchronised  another epoch: what was lost before it is not counted

sensor   temperature  humidity  rate/s     age  quality          recovered  lost
indoor             –         –       –       –  –                        0     0
outdoor            –         –       –       –  –                        0     0
`},
		{"other quantities", []step{
			{0, client.Connected{Hello: wire.Hello{Server: "gateway", ClockSynced: true, Sensors: []wire.SensorInfo{
				{Name: "indoor", IntervalMS: 100},
				{Name: "air", IntervalMS: 100, Values: []wire.Quantity{wire.CO2}},
				{Name: "pipe", IntervalMS: 100, Values: []wire.Quantity{wire.Temperature}},
				{Name: "odd", IntervalMS: 100, Values: []wire.Quantity{{Name: "w\x1bnd", Unit: "m/\x1bs", Decimals: 2}}},
			}}}},
			{0, client.Records{reading("indoor", 21.5, 45), reading("air", 612, wire.NotMeasured()), reading("pipe", 55.5, wire.NotMeasured()),
				reading("odd", 3.5, wire.NotMeasured())}},
		}, 5 * ms, `
ws://pi:8765/  connected

sensor  temperature  humidity      co2       w�nd  rate/s     age  quality          recovered  lost
indoor     21.50 °C    45.0 %        –          –       –  5.0 ms  good                     0     0
air               –         –  612 ppm          –       –  5.0 ms  good                     0     0
pipe       55.50 °C         –        –          –       –  5.0 ms  good                     0     0
odd               –         –        –  3.50 m/�s       –  5.0 ms  good                     0     0
`},
		{"the connection is lost", []step{
			{0, watchHello}, {0, client.Records{reading("indoor", 21.5, 45)}}, {1 * s, client.RoundTrip(ms)}, {2 * s, lost},
		}, 2500 * ms, `
ws://pi:8765/  reconnecting in 3.5 s  connection �[2Jlost  SIMULATED

sensor   temperature  humidity  rate/s     age  quality          recovered  lost
indoor      21.50 °C    45.0 %     0.0   2.5 s  stale                    0     0
outdoor            –         –       –       –  –                        0     0
`},
		{"the next try", []step{{0, watchHello}, {0, lost}}, 200 * s, `
ws://pi:8765/  reconnecting  connection �[2Jlost  SIMULATED  clock not synchronised

sensor   temperature  humidity  rate/s     age  quality          recovered  lost
indoor             –         –       –       –  –                        0     0
outdoor            –         –       –       –  –                        0     0
`},
		{"back, with a clock and real chips", []step{{0, watchHello}, {0, lost}, {5 * s, client.Connected{Hello: wire.Hello{Server: "gateway", ClockSynced: true}}}}, 5 * s, `
ws://pi:8765/  connected

sensor   temperature  humidity  rate/s     age  quality          recovered  lost
indoor             –         –       –       –  –                        0     0
outdoor            –         –       –       –  –                        0     0
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := time.Unix(1_700_000_000, 0)
			b := board{url: "ws://pi:8765/", flagged: true}
			for _, s := range tt.steps {
				b.apply(s.what, begin.Add(s.at))
			}
			got := "\n" + strings.Join(b.table(begin.Add(tt.at), false), "\n") + "\n"
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			coloured := strings.Join(b.table(begin.Add(tt.at), true), "\n")
			for _, code := range []string{"0", "2", "7", "31", "32", "33"} {
				coloured = strings.ReplaceAll(coloured, "\x1b["+code+"m", "")
			}
			if "\n"+coloured+"\n" != got {
				t.Errorf("colours change the text:\n%s", coloured)
			}
		})
	}
}

// The table says how messages are read of a server that does not know the subprotocol.
func TestTableNote(t *testing.T) {
	b := board{url: "ws://pi:8765/", asked: wire.ReadingsV2}
	for chosen, want := range map[string]string{
		"":              "ws://pi:8765/  connected  the server does not know the subprotocol readings.v2: what it sends is read as readings.v1",
		wire.ReadingsV2: "ws://pi:8765/  connected",
	} {
		b.apply(client.Connected{Subprotocol: chosen}, time.Unix(0, 0))
		if got := b.table(time.Unix(0, 0), false)[0]; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestTableColours(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	b := board{url: "ws://pi:8765/", flagged: true}
	b.apply(watchHello, begin)
	b.apply(client.Records{reading("indoor", 21.5, 45), failed("outdoor", wire.Stuck)}, begin)
	for at, want := range map[time.Duration][]string{
		0:           {"\x1b[32mconnected\x1b[0m", "\x1b[7mSIMULATED\x1b[0m", "\x1b[32mgood\x1b[0m ", "\x1b[31mstuck\x1b[0m ", "indoor   "},
		time.Minute: {"\x1b[2mindoor\x1b[0m ", "\x1b[2mstale\x1b[0m ", "\x1b[2m21.50 °C\x1b[0m"},
	} {
		got := strings.Join(b.table(begin.Add(at), true), "\n")
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("after %v: no %q in\n%q", at, text, got)
			}
		}
	}
}

func TestMeter(t *testing.T) {
	begin := time.Unix(1_700_000_000, 500_000_000)
	var m meter
	if _, ok := m.perSecond(begin); ok {
		t.Error("a rate of nothing")
	}
	tick := func(from, to time.Duration) {
		for at := from; at < to; at += 100 * time.Millisecond {
			m.count(begin.Add(at))
		}
	}
	check := func(at time.Duration, want float64, known bool) {
		t.Helper()
		if got, ok := m.perSecond(begin.Add(at)); got != want || ok != known {
			t.Errorf("after %v: %v, %v, want %v, %v", at, got, ok, want, known)
		}
	}
	tick(0, 1400*time.Millisecond)
	check(1400*time.Millisecond, 0, false) // the first second was half a one
	tick(1400*time.Millisecond, 2*time.Second)
	check(2*time.Second, 10, true)
	tick(2*time.Second, 30*time.Second)
	check(30*time.Second, 10, true)
	check(32500*time.Millisecond, 5, true) // of five seconds, two and a half were silent
	check(time.Minute, 0, true)
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0 ms", 3210 * time.Microsecond: "3.2 ms", 94*time.Millisecond + 999: "94 ms", 999 * time.Millisecond: "999 ms",
		time.Second: "1.0 s", 99900 * time.Millisecond: "99.9 s", 100 * time.Second: "1 min", 99 * time.Minute: "99 min", 100 * time.Minute: "1 h", 49 * time.Hour: "49 h",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// frames notes when a picture was drawn.
type frames struct{ pictures []string }

func (f *frames) Write(p []byte) (int, error) {
	f.pictures = append(f.pictures, string(p))
	return len(p), nil
}

// Ten seconds on a terminal: a picture at most five times a second, each over
// the one before. Nobody listens at the address.
func TestTableIsRedrawnInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var f frames
		if err := watchTable(ctx, client.Options{URL: "ws://[::1%25nowhere]:1/"}, &f, false); err != nil {
			t.Error(err)
		}
		if n := len(f.pictures); n < 49 || n > 52 {
			t.Errorf("%d pictures in 10 s, want about 50", n)
		}
		for i, p := range f.pictures {
			up := strings.HasPrefix(p, "\x1b[3A\r")
			if up != (i > 0) || strings.Count(p, "\x1b[K\n") != 3 || !strings.HasSuffix(p, "\x1b[J\x1b[?7h") {
				t.Errorf("picture %d: %q", i, p)
			}
		}
		if last := f.pictures[len(f.pictures)-1]; !strings.Contains(last, "reconnecting in ") {
			t.Errorf("the last: %q", last)
		}
	})
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestTableEndsWithItsTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := watchTable(t.Context(), client.Options{URL: "ws://[::1%25nowhere]:1/"}, fullDisk{}, false)
		if !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("%v", err)
		}
	})
}

// An answer that is final ends the table with it.
func TestTableEndsWithItsClient(t *testing.T) {
	var f frames
	if err := watchTable(t.Context(), client.Options{URL: "ftp://pi/"}, &f, false); err == nil || len(f.pictures) < 2 {
		t.Errorf("%v after %d pictures", err, len(f.pictures))
	}
}
