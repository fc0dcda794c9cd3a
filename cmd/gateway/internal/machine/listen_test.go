package machine

import (
	"net"
	"testing"
)

// localhost listens on the loopback address of each family that the machine has.
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
