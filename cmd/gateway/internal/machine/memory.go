package machine

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memoryEvery is how often memory is given back while there is some to give.
	memoryEvery = 10 * time.Second
	// memoryAtMost is the longest wait before the next look for memory, after looks that found
	// none: each costs a full garbage collection. If most of the clients have left since the
	// last look, and at least memoryClients of them, there is no wait.
	memoryAtMost  = 40 * time.Second
	memoryClients = 100
	// memoryRest is what a gateway at rest takes: below that there is no look.
	memoryRest = 16 << 20
	// memoryWorth is how much makes it worth looking again soon.
	memoryWorth = 4 << 20
)

// FreeMemory gives memory back to the system, until ctx ends, when many clients have
// come and gone, or after a start with a large log. The runtime itself takes minutes for
// that, since its next collection is due when the heap has grown by half; on a machine
// with little memory others need it sooner. clients is how many there are.
func FreeMemory(ctx context.Context, clients func() int) error {
	freeMemory(ctx, memoryTaken, clients, debug.FreeOSMemory)
	return nil
}

func freeMemory(ctx context.Context, taken func() int64, clients func() int, free func()) {
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	wait, waited, most := memoryEvery, time.Duration(0), 0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		n, before := clients(), taken()
		most, waited = max(most, n), waited+memoryEvery
		if before <= memoryRest {
			wait, waited = memoryEvery, 0
			continue
		}
		if left := most - n; waited < wait && (left < n || left < memoryClients) {
			continue
		}
		free()
		waited, most = 0, n
		if wait = min(2*wait, memoryAtMost); before-taken() >= memoryWorth {
			wait = memoryEvery
		}
	}
}

// memoryTaken is how many bytes the runtime has of the system.
func memoryTaken() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64()) - int64(samples[1].Value.Uint64())
}
