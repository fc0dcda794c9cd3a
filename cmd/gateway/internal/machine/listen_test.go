package machine

import (
	"net"
	"testing"
)

// localhost is where there is loopback, on both families if the machine has both.
func TestListenOnLocalhost(t *testing.T) {
	sockets, err := Listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range sockets {
		defer l.Close()
		if a := l.Addr().(*net.TCPAddr); !a.IP.IsLoopback() || a.Port != sockets[0].Addr().(*net.TCPAddr).Port {
			t.Errorf("%v", a)
		}
	}
}
