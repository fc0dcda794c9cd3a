package ship

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// feed is a log of readings: blocks of a minute.
type feed struct {
	mu     sync.Mutex
	names  []string
	blocks map[string][]query.Block
	first  map[string]int // of the blocks that are not evicted
}

func newFeed(names ...string) *feed {
	return &feed{names: names, blocks: map[string][]query.Block{}, first: map[string]int{}}
}

// add adds the next n records of a sensor as a block.
func (f *feed) add(name, epoch string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	prev, at := uint32(1<<32-500), int64(1_700_000_000_000) // numbers wrap
	if all := f.blocks[name]; len(all) > 0 {
		last := all[len(all)-1]
		at = last.To + 100
		if last.Epoch == epoch {
			prev = last.Last
		}
	}
	chance := rand.New(rand.NewPCG(uint64(prev), 1))
	records := make([]wire.Record, n)
	var sum codec.Summary
	for i := range records {
		records[i] = wire.Record{Seq: prev + 1 + uint32(i), Reading: wire.Reading{Values: [2]float32{20 + float32(chance.IntN(40))/100, 50 + float32(chance.IntN(90))/100}, UnixMilli: at + 100*int64(i)}}
		sum.Add(records[i])
	}
	var p codec.Packer
	raw := p.AppendBlock(nil, codec.Origin{Sensor: name, Epoch: epoch, Boot: "boot"}, prev, sum, records)
	f.blocks[name] = append(f.blocks[name], query.Block{
		Sensor: name, Epoch: epoch, First: sum.First, Last: sum.Last, Records: n, From: sum.From, To: sum.To, Bytes: raw,
		Values: values.Span{{Name: name, Epoch: epoch, From: sum.First, Values: []wire.Quantity{wire.Temperature, wire.Humidity}}},
	})
}

// evict removes the oldest n blocks of a sensor.
func (f *feed) evict(name string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.first[name] += n
}

func (f *feed) Names() []string { return f.names }

func (f *feed) Blocks(name string, wants func(epoch string, first, last uint32) bool) func() (query.Block, error) {
	i := 0
	return func() (query.Block, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i = max(i, f.first[name]); i < len(f.blocks[name]); i++ {
			if b := f.blocks[name][i]; wants(b.Epoch, b.First, b.Last) {
				i++
				return b, nil
			}
		}
		return query.Block{}, io.EOF
	}
}

// all returns all records of a sensor that are not evicted.
func (f *feed) all(t *testing.T, name string) (all []wire.Record) {
	var raw [][]byte
	for _, b := range f.blocks[name][f.first[name]:] {
		raw = append(raw, b.Bytes)
	}
	return unpack(t, raw)
}

func unpack(t *testing.T, raw [][]byte) (all []wire.Record) {
	t.Helper()
	var u codec.Unpacker
	for _, raw := range raw {
		b, _, err := codec.ParseBlock(raw)
		if err == nil {
			all, err = u.Records(all, b, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// line is the line between a gateway and a broker, and what the broker has.
type line struct {
	rate float64 // bytes/s; 0: no limit
	trip time.Duration
	// answer returns the reason code, or that the connection ended.
	answer func(Message) (byte, error)

	stalled  [2]time.Time // begin and end of a time in which nothing is answered
	measured time.Time    // since when queue is measured

	mu       sync.Mutex
	busy     time.Time     // until when the line is busy
	queue    time.Duration // the longest that anything waited for what was sent before it
	bytes    int
	messages int
	got      []Message
}

func (l *line) publish(ctx context.Context, m Message) (byte, error) {
	l.mu.Lock()
	now := time.Now()
	l.busy = latest(l.busy, now)
	if now.After(l.measured) {
		l.queue = max(l.queue, l.busy.Sub(now))
	}
	if l.rate > 0 {
		l.busy = l.busy.Add(time.Duration(float64(len(m.Payload)) / l.rate * float64(time.Second)))
	}
	wait := l.busy.Sub(now) + l.trip
	if due := now.Add(wait); due.After(l.stalled[0]) {
		wait = latest(due, l.stalled[1]).Sub(now)
	}
	l.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages++
	reason, err := byte(0), error(nil)
	if l.answer != nil {
		reason, err = l.answer(m)
	}
	if err == nil && reason == success {
		l.bytes += len(m.Payload)
		l.got = append(l.got, m)
	}
	return reason, err
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// received returns what a hub has of a sensor: each record once.
func (l *line) received(t *testing.T, name string) (all []wire.Record, repeats int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	type number struct {
		epoch string
		seq   uint32
	}
	have := map[number]bool{}
	for _, m := range l.got {
		parts, err := fleet.ParseUp(m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if last := parts[len(parts)-1]; last.Epoch != m.Epoch || last.Last != m.Last {
			t.Fatalf("message %s %d has %s %d", m.Epoch, m.Last, last.Epoch, last.Last)
		}
		for _, up := range parts {
			if len(up.Values) == 0 {
				t.Fatalf("no values of %s", up.Sensor)
			}
			if up.Sensor != name {
				continue
			}
			for _, r := range unpack(t, up.Blocks) {
				if have[number{up.Epoch, r.Seq}] {
					repeats++
					continue
				}
				have[number{up.Epoch, r.Seq}] = true
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(a, b wire.Record) int { return int(a.UnixMilli - b.UnixMilli) })
	return all, repeats
}

func options(f *feed) Options {
	return Options{Feed: f, Log: slog.New(slog.DiscardHandler), Clock: func() (time.Time, bool) { return time.Now(), true }}
}

func newShipper(t *testing.T, o Options) *Shipper {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// connect runs a connection for a time.
func connect(t *testing.T, s *Shipper, l *line, during time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	if err := s.Run(ctx, Link{Publish: l.publish}); err != nil && !errors.Is(err, errCut) {
		t.Errorf("the connection ended: %v", err)
	}
}

var errCut = errors.New("the line is cut")
