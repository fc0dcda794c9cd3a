package hub

import (
	"fmt"
	"runtime"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// atRest is what a gateway of two sensors may take of the registry's memory while nobody
// looks at it, in bytes; its log has the rest of 40 KiB.
const atRest = 12 << 10

func heap() int64 {
	runtime.GC()
	runtime.GC() // frees what had finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemoryAtRest(t *testing.T) {
	const n = 2000
	h := newHub(t, t.TempDir())
	hello := helloOf("n", 1)
	up := upOf(0, 1, 600)
	before := heap()
	for i := range n {
		at := fleet.Gateway{Site: "lab", Name: fmt.Sprintf("pi-%d", i)}
		h.members = append(h.members, at)
		r := h.g.remote(at)
		news := notice(t, hello)
		second := news.Hello.Sensors[0]
		second.ID, second.Name = 4, "outdoor"
		news.Hello.Sensors = append(news.Hello.Sensors, second)
		r.news(news, false)
		blocks, err := fleet.ParseUp(up)
		if err != nil {
			t.Fatal(err)
		}
		r.durable(blocks[0], false)
		r.live([]wire.Record{{Sensor: 4, Seq: 1}})
		stop := r.Listen(Listener{Records: func([]wire.SensorInfo, []wire.Record) {}})
		if err := r.connect("c1"); err != nil {
			t.Fatal(err)
		}
		r.Lost("c1")
		stop()
	}
	each := (heap() - before) / n
	t.Logf("%d bytes a gateway", each)
	if each > atRest {
		t.Errorf("%d bytes a gateway at rest, want %d at most", each, atRest)
	}
	runtime.KeepAlive(h)
}

// BenchmarkDurable measures what the registry does for each payload of blocks that is stored:
// a minute of a sensor.
func BenchmarkDurable(b *testing.B) {
	h := newHub(b, b.TempDir())
	r := h.g.remote(pi)
	up := upOf(0, 1, 600)
	b.SetBytes(int64(len(up)))
	for b.Loop() {
		blocks, err := fleet.ParseUp(up)
		if err != nil {
			b.Fatal(err)
		}
		r.durable(blocks[0], false)
	}
}
