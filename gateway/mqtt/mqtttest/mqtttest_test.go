package mqtttest

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// A broker that is stopped ends every connection, also of clients that have not sent CONNECT
// or have only just come; another broker can begin at its address.
func TestStop(t *testing.T) {
	b := Start(t, Options{})
	address := b.Address
	for range 20 {
		silent, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan byte, 1)
		client := paho.NewClient(paho.ClientConfig{Conn: conn, OnServerDisconnect: func(d *paho.Disconnect) { told <- d.ReasonCode }})
		if _, err := client.Connect(t.Context(), &paho.Connect{ClientID: "a", CleanStart: true, KeepAlive: 60}); err != nil {
			t.Fatal(err)
		}
		late, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		b.Stop()
		if took := time.Since(begin); took > 5*time.Second { // of the 15 in which one has to introduce oneself
			t.Errorf("it took %s", took)
		}
		for _, c := range []net.Conn{silent, late} {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("a broker that has ended says something")
			}
			_ = c.Close()
		}
		if code := <-told; code != 0x8B {
			t.Errorf("the client is told 0x%02x, want 0x8b: server shutting down", code)
		}
		b = Start(t, Options{Address: address})
	}
}

// A broker whose address is still in use waits until it is free.
func TestListenAgain(t *testing.T) {
	first, err := listen("")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = first.Close() })
	second, err := listen(first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
}

// busy notes whether the broker handles messages of several connections at once.
type busy struct {
	mochi.HookBase
	now    atomic.Int64
	atOnce atomic.Bool
}

func (*busy) Provides(b byte) bool { return b == mochi.OnPublish }

func (h *busy) OnPublish(_ *mochi.Client, p packets.Packet) (packets.Packet, error) {
	if h.now.Add(1) > 1 {
		h.atOnce.Store(true)
	}
	for range 100 {
		runtime.Gosched()
	}
	h.now.Add(-1)
	return p, nil
}

// What comes from several connections is handled one after the other.
func TestOneAtATime(t *testing.T) {
	h := &busy{}
	b := Start(t, Options{Hooks: []mochi.Hook{h}})
	var sending sync.WaitGroup
	for i := range 8 {
		conn, err := net.Dial("tcp", b.Address)
		if err != nil {
			t.Fatal(err)
		}
		c := paho.NewClient(paho.ClientConfig{Conn: conn})
		if _, err := c.Connect(t.Context(), &paho.Connect{ClientID: fmt.Sprint(i), CleanStart: true, KeepAlive: 60}); err != nil {
			t.Fatal(err)
		}
		sending.Go(func() {
			for range 100 {
				if _, err := c.Publish(t.Context(), &paho.Publish{Topic: "t", QoS: 1}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	sending.Wait()
	if h.atOnce.Load() {
		t.Error("messages of several connections are handled at once")
	}
}
