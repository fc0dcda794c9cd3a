package gateway

import (
	"runtime"
	"strings"
	"testing"
)

// Connections that begin and go no further, or do not read what they asked for,
// keep nobody out.
func TestNobodyWaitsInsideTheGate(t *testing.T) {
	withAndWithoutTLS(t, func(t *testing.T, s *testServer) {
		half := handshake[:len(handshake)/2]
		if s.trust != nil {
			half = "\x16\x03\x01" // a ClientHello begins
		}
		long := strings.Repeat("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
		for range 2 * runtime.GOMAXPROCS(0) {
			for _, sent := range []string{half, long} {
				if _, err := s.raw().Write([]byte(sent)); err != nil {
					t.Fatal(err)
				}
			}
		}
		c := s.dial("/")
		s.tick()
		c.read(2)
	})
}
