package mqtttest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Line is a slow line to a broker. Each way of a connection over it has a rate in bytes a
// second, which counts headers of IP and TCP, and a delay.
type Line struct {
	Address string // HOST:PORT, where the broker seems to be

	rate       float64 // bytes/s
	delay      time.Duration
	late, sent atomic.Int64
}

const (
	segment = 1460 // bytes of TCP's payload
	headers = 40   // bytes of IP and TCP
	queued  = 64   // segments that a modem keeps: whoever fills it waits
)

// segmentOnWay is one that is on its way.
type segmentOnWay struct {
	bytes []byte
	due   time.Time
}

// StartLine starts a line to a broker, at a free port of loopback. It ends with the test.
func StartLine(t testing.TB, broker string, rate float64, delay time.Duration) *Line {
	t.Helper()
	l, err := listen("")
	if err != nil {
		t.Fatal(err)
	}
	line := &Line{Address: l.Addr().String(), rate: rate, delay: delay}
	var parts sync.WaitGroup
	t.Cleanup(parts.Wait)
	t.Cleanup(func() { _ = l.Close() })
	parts.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", broker)
			if err != nil {
				_ = near.Close()
				continue
			}
			parts.Go(func() { line.carry(far, near, &line.sent) })
			parts.Go(func() { line.carry(near, far, new(atomic.Int64)) })
		}
	})
	return line
}

// Late returns the longest delay that was this machine's own, and not the line's.
func (l *Line) Late() time.Duration { return time.Duration(l.late.Load()) }

// Sent returns how many bytes have gone to the broker, with headers.
func (l *Line) Sent() int64 { return l.sent.Load() }

// carry carries what comes from one to another, until either ends, and counts it.
func (l *Line) carry(to, from net.Conn, carried *atomic.Int64) {
	way := make(chan segmentOnWay, queued)
	var passed sync.WaitGroup
	defer passed.Wait()
	defer close(way)
	passed.Go(func() {
		defer to.Close()
		for s := range way {
			if wait := time.Until(s.due); wait > 0 {
				<-time.After(wait)
			}
			l.late.Store(max(l.late.Load(), int64(time.Since(s.due))))
			if _, err := to.Write(s.bytes); err != nil {
				_ = from.Close()
			}
			carried.Add(int64(len(s.bytes) + headers))
		}
	})
	var busy time.Time
	for {
		b := make([]byte, segment)
		n, err := from.Read(b)
		if now := time.Now(); now.After(busy) {
			busy = now
		}
		busy = busy.Add(time.Duration(float64(n+headers) / l.rate * float64(time.Second)))
		if n > 0 {
			way <- segmentOnWay{b[:n], busy.Add(l.delay)}
		}
		if err != nil { // that side has ended
			return
		}
	}
}
