package gateway

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// stuck is a history on a disk that hangs: its readers wait until the test lets them go on.
type stuck struct {
	*fakeHistory
	reached, let chan struct{} // reached takes one token for each that waits
}

func newStuck() *stuck {
	return &stuck{fakeHistory: newFakeHistory(), reached: make(chan struct{}, 10), let: make(chan struct{})}
}

func (k *stuck) options(o *Options) { o.History = k }

func (k *stuck) Follow(sensor uint16, from, mark int64, after uint32) func() ([]wire.Record, int64, error) {
	next := k.fakeHistory.Follow(sensor, from, mark, after)
	return func() ([]wire.Record, int64, error) {
		k.reached <- struct{}{}
		<-k.let
		return next()
	}
}

// A client that leaves while its replay reads is not subscribed by what was read.
func TestLeavingDuringARead(t *testing.T) {
	log := newStuck()
	s := start(t, log.options)
	s.tick()
	c := s.dial("/sensors/indoor?since=99999999999999")
	<-log.reached
	c.Close()
	s.until("it has left", func() bool {
		s.broadcaster.mu.Lock()
		defer s.broadcaster.mu.Unlock()
		return len(s.broadcaster.sessions) == 0
	})
	close(log.let)
	s.wantClients(0)
	s.broadcaster.mu.Lock()
	defer s.broadcaster.mu.Unlock()
	if n := len(s.broadcaster.feeds); n != 0 {
		t.Errorf("%d feeds without a client", n)
	}
}

// A disk that hangs while a replay reads it does not keep the server from
// stopping.
func TestShutdownDuringARead(t *testing.T) {
	log := newStuck()
	defer close(log.let)
	s := start(t, log.options)
	s.tick()
	s.dial("/sensors/indoor?since=0")
	<-log.reached
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(ctx) }()
	select {
	case err := <-stopped:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it says %v", err)
		}
	case <-time.After(patience):
		t.Error("it waits for the disk")
	}
}

// A new request replaces the one before: nothing is sent of what that asked for
// before.
func TestResumeFromNowOn(t *testing.T) {
	log := newStuck()
	s := start(t, log.options)
	s.kept(log.fakeHistory, 10)
	c := s.dial("/sensors/indoor?since=0", wire.ReadingsV2)
	c.read(websocket.TextMessage)
	<-log.reached
	c.resume("sensors/indoor", "e1", map[string]uint32{"indoor": s.seq - 1})
	close(log.let)
	s.kept(log.fakeHistory, 1)
	records, err := wire.ParseRecords(c.read(websocket.BinaryMessage))
	if err != nil || records[0].Seq != s.seq-1 {
		t.Errorf("after the answer: %v %v, want number %d", records, err, s.seq-1)
	}
}

// broken is a history whose code panics.
type broken struct{ *fakeHistory }

func (broken) Since(uint16, uint32) func() ([]wire.Record, error) {
	return func() ([]wire.Record, error) { panic("broken") }
}

// A panic in a replay closes its client only, which would ask for the same again and again.
func TestPanicInAReplay(t *testing.T) {
	log := broken{newFakeHistory()}
	s := start(t, func(o *Options) { o.History = log })
	s.kept(log.fakeHistory, 10)
	for range maxReplays + 1 { // a turn that is not given up would be missing in the end
		c := s.dial("/", wire.ReadingsV2)
		c.read(websocket.TextMessage)
		c.resume("sensors/indoor", "e1", map[string]uint32{"indoor": s.seq - 5})
		if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, wire.CloseInternal) {
			t.Fatalf("%v, want %d", err, wire.CloseInternal)
		}
		c.Close()
	}
}
