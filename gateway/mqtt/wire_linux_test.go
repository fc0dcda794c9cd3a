package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"golang.org/x/sys/unix"
)

// What is counted is what the line carries, within 15 %, by the segments that the kernel has
// counted: of ticks, which nobody answers, and of messages that a broker confirms.
func TestCounted(t *testing.T) {
	for _, scheme := range []string{"mqtt", "mqtts"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewTLSServer(nil) // it has a certificate
			defer web.Close()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			accepted := make(chan net.Conn, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- c
				if scheme == "mqtts" {
					c = tls.Server(c, &tls.Config{Certificates: web.TLS.Certificates})
				}
				confirm(c)
			}()
			used, roots := 0, x509.NewCertPool()
			roots.AddCert(web.Certificate())
			near, err := Dial(t.Context(), &url.URL{Scheme: scheme, Host: l.Addr().String()}, Options{
				WriteTimeout: time.Second, TLS: &tls.Config{RootCAs: roots}, Count: func(n int) { used += n },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer near.Close()
			far := <-accepted
			for n := range uint16(20) {
				for qos := range byte(2) {
					p := packets.Publish{Topic: "gw/v1/lab/pi-7/live", QoS: qos, PacketID: n + 1, Payload: make([]byte, 48), Properties: &packets.Properties{}}
					if _, err := p.WriteTo(near); err != nil {
						t.Fatal(err)
					}
					if qos > 0 {
						if _, err := packets.ReadPacket(near); err != nil {
							t.Fatal(err)
						}
					}
					rest(t, near, far)
				}
			}
			info := kernels(t, near)
			bytes, segments := info.Bytes_sent+info.Bytes_received, info.Segs_out+info.Segs_in
			carried := float64(bytes) + headers*float64(segments)
			t.Logf("%d bytes are counted; the line has carried %.0f, %d bytes in %d segments", used, carried, bytes, segments)
			if share := float64(used) / carried; share < 0.85 || share > 1.15 {
				t.Errorf("%d bytes are counted, and the line has carried %.0f", used, carried)
			}
		})
	}
}

// confirm confirms what comes with QoS 1, until the connection ends.
func confirm(c net.Conn) {
	defer c.Close()
	for {
		p, err := packets.ReadPacket(c)
		if err != nil {
			return
		}
		if id := p.PacketID(); id > 0 {
			if _, err := c.Write([]byte{packets.PUBACK << 4, 2, byte(id >> 8), byte(id)}); err != nil {
				return
			}
		}
	}
}

// rest waits until all that was sent over these connections is acknowledged, as it is between
// two ticks.
func rest(t *testing.T, all ...net.Conn) {
	t.Helper()
	again, late := time.NewTicker(time.Millisecond), time.After(10*time.Second)
	defer again.Stop()
	for _, c := range all {
		for kernels(t, c).Unacked > 0 {
			select {
			case <-again.C:
			case <-late:
				t.Fatal("what was sent is not acknowledged")
			}
		}
	}
}

// kernels returns what the kernel knows of a connection.
func kernels(t *testing.T, c net.Conn) (info *unix.TCPInfo) {
	t.Helper()
	for {
		switch outer := c.(type) {
		case *conn:
			c = outer.Conn
		case *buffered:
			c = outer.Conn
		case *counted:
			c = outer.Conn
		case *tls.Conn:
			c = outer.NetConn()
		case *net.TCPConn:
			raw, err := outer.SyscallConn()
			if err == nil {
				var failed error
				err = raw.Control(func(fd uintptr) {
					info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
				})
				if err == nil {
					err = failed
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			return info
		default:
			t.Fatalf("a connection of type %T", c)
		}
	}
}
