package mqtttest

import (
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// A broker that is stopped ends every connection, also of those who have not introduced
// themselves or have only just come; another can begin at its address.
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

// Who listens where somebody else does still waits until that has ended.
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
