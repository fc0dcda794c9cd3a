package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// writes is a connection that notes what is written at once.
type writes struct {
	net.Conn
	all    []string
	failed error
	end    time.Time // of reading
}

func (w *writes) Write(b []byte) (int, error) {
	if w.failed != nil {
		return 0, w.failed
	}
	w.all = append(w.all, string(b))
	return len(b), nil
}
func (w *writes) SetWriteDeadline(time.Time) error  { return nil }
func (w *writes) SetReadDeadline(t time.Time) error { w.end = t; return nil }

// A packet is one write; one that fails ends the connection.
func TestOneWriteAPacket(t *testing.T) {
	w := &writes{}
	c := &conn{Conn: w, writeTimeout: time.Second}
	publish := packets.NewControlPacket(packets.PUBLISH)
	publish.Content.(*packets.Publish).Topic = "a/topic"
	publish.Content.(*packets.Publish).Payload = []byte(strings.Repeat("x", 2*maxBuffer))
	for n := range 3 {
		if _, err := publish.WriteTo(c); err != nil {
			t.Fatal(err)
		}
		if len(w.all) != n+1 || len(w.all[n]) < 2*maxBuffer {
			t.Fatalf("after %d packets: %d writes", n+1, len(w.all))
		}
	}
	if cap(c.packet) > maxBuffer {
		t.Errorf("%d bytes of buffer are kept", cap(c.packet))
	}
	w.failed = io.ErrClosedPipe
	if _, err := publish.WriteTo(c); err != nil || w.end.IsZero() { // the loss of the packet shows only at the end of the connection
		t.Errorf("%v, reading ends %v", err, w.end)
	}
	if _, err := publish.WriteTo(c); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("after a write that failed: %v", err)
	}
}

// The reason of a broker that refuses, and is gone before the first packet, is still read; if
// it sent none, the error is that of the write.
func TestLastWords(t *testing.T) {
	for _, words := range []string{"not you", ""} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dialed, err := Dial(t.Context(), &url.URL{Scheme: "mqtt", Host: l.Addr().String()}, Options{WriteTimeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
		broker, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(broker, words)
		if err := errors.Join(err, broker.(*net.TCPConn).SetLinger(0), broker.Close()); err != nil { // a reset
			t.Fatal(err)
		}
		c := dialed.(*conn)
		for c.failed == nil {
			c.Lock()
			_, _ = c.Write([]byte("packet"))
			c.Unlock()
		}
		said, err := io.ReadAll(c)
		if string(said) != words || errors.Is(err, net.ErrClosed) {
			t.Errorf("%q and %v are read, want %q", said, err, words)
		}
		if err != nil && !strings.Contains(Explain(err).Error(), "its log says why") {
			t.Errorf("%v has no fix", Explain(err))
		}
	}
}

// What is wrong with an address, and what is to be done, is in the error.
func TestDialErrors(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := refusing.Addr().String()
	_ = refusing.Close()
	plain, err := net.Listen("tcp", "127.0.0.1:0") // a server that knows no TLS
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			c, err := plain.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = bufio.NewReader(c).ReadByte()
				_, _ = fmt.Fprint(c, "HTTP/1.0 400 Bad Request\r\n\r\n")
				_ = c.Close()
			}()
		}
	}()
	for address, want := range map[string][]string{
		"mqtt://" + closed:                 {"connect", closed, "refused", "fix: start the broker there"},
		"mqtts://" + plain.Addr().String(): {"connect", "fix: the broker does not speak TLS at this port"},
		"mqtt://no-such-name.invalid":      {"connect", "no-such-name.invalid", "fix: "},
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Dial(t.Context(), u, Options{WriteTimeout: time.Second, TLS: &tls.Config{}})
		for _, text := range want {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, want %q in it", address, err, text)
			}
		}
	}
}

// silent is a connection over which nothing comes; what is sent is noted.
type silent struct {
	net.Conn
	pings chan time.Time
}

func (s silent) Write(b []byte) (int, error) {
	if b[0] == packets.PINGREQ<<4 {
		s.pings <- time.Now()
	}
	return len(b), nil
}

// A broker that no longer answers is noticed after one and a half keep-alives, whether much is
// sent or nothing; while packets are sent and received, there are no pings.
func TestPinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := NewPinger(), silent{pings: make(chan time.Time, 10)}
		begin := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context(), s, 90) }()
		for range 10 { // a batch a minute, and its answer
			time.Sleep(time.Minute)
			p.PacketSent()
			p.PacketReceived()
		}
		if len(s.pings) > 0 {
			t.Errorf("%d pings, although packets come", len(s.pings))
		}
		for range 5 {
			time.Sleep(20 * time.Second)
			p.PacketSent()
		}
		if err := <-ended; err == nil || time.Since(begin) != 10*time.Minute+135*time.Second || len(s.pings) != 1 {
			t.Errorf("%v after %s and %d pings", err, time.Since(begin), len(s.pings))
		}
	})
	synctest.Test(t, func(t *testing.T) { // one that answers is asked again
		p, s := NewPinger(), silent{pings: make(chan time.Time, 10)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx, s, 90) }()
		for range 3 {
			begin := time.Now()
			if at := <-s.pings; at.Sub(begin) != 90*time.Second {
				t.Errorf("a ping after %s", at.Sub(begin))
			}
			p.PacketReceived()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Brokers are tried in turn, with growing pauses; an error is reported once. A client whose
// connection is taken over by another makes a longer pause.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		var at []time.Time
		var told []string
		Keep(ctx, func(_ context.Context, n int) error {
			at = append(at, time.Now())
			switch {
			case n == 40: // a connection that was good
				time.Sleep(2 * goodConnection)
				return errors.New("broker 0 ended it")
			case n > 50:
				return Disconnected(TakenOver)
			}
			return fmt.Errorf("broker %d refuses", n%2)
		}, func(err error) { told = append(told, err.Error()) })
		for i := 1; i < len(at); i++ {
			pause := at[i].Sub(at[i-1])
			if i == 41 {
				pause -= 2 * goodConnection
			}
			least, most := minPause, maxPause
			if i > 51 {
				least, most = minYield/2, maxYield
			}
			if pause < least || pause > most || (i < 3 || i == 41) && pause > 3*time.Second {
				t.Errorf("pause %d is %s", i, pause)
			}
		}
		want := []string{"broker 0 refuses", "broker 1 refuses", "broker 0 ended it", "broker 1 refuses", "broker 0 refuses", Disconnected(TakenOver).Error()}
		if !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
		if rest := at[len(at)-1].Sub(at[52]); len(at) < 60 || len(at) > 100 || rest < time.Hour {
			t.Errorf("%d connections, the last %s after the first that was taken over", len(at), rest)
		}
	})
}

// TestKeepPorts holds that an error that differs only in this side's port, which is another one
// for each connection, is reported once.
func TestKeepPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		broker, told := &net.TCPAddr{IP: net.IPv6loopback, Port: 1883}, []string{}
		Keep(ctx, func(_ context.Context, n int) error {
			if n%2 == 0 {
				return fmt.Errorf("lookup broker.example on 192.168.1.1:53: read udp 192.168.1.7:%d->192.168.1.1:53: i/o timeout", 40_000+n)
			}
			source := &net.TCPAddr{IP: net.IPv6loopback, Port: 40_000 + n}
			return fmt.Errorf("the connection has ended: %w", &net.OpError{Op: "read", Net: "tcp", Source: source, Addr: broker, Err: syscall.ECONNRESET})
		}, func(err error) { told = append(told, err.Error()) })
		if len(told) != 2 || !strings.Contains(told[1], "[::1]:40001->[::1]:1883") {
			t.Errorf("told %q", told)
		}
	})
}

func TestReasons(t *testing.T) {
	if got := Reason(0x87); got != "0x87, not authorized" {
		t.Error(got)
	}
	if got := Reason(0x42); got != "0x42" {
		t.Error(got)
	}
	if err := Explain(io.EOF); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "MQTT 5") {
		t.Error(err)
	}
	if err := Explain(errors.New("remote error: tls: revoked certificate")); !strings.Contains(err.Error(), "enroll it again") {
		t.Error(err)
	}
	if err := errors.New("odd"); Explain(err) != err {
		t.Error(Explain(err))
	}
}
