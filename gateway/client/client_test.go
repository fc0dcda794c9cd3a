package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

func record(sensor uint16, seq uint32) wire.Record {
	return wire.Record{Sensor: sensor, Seq: seq, Reading: wire.Reading{Values: [2]float32{21.5, 45}, UnixMilli: 1712345678901}}
}

func TestReadings(t *testing.T) {
	v2 := Options{Subprotocol: wire.ReadingsV2}
	bubble(t, v2, func(p *serverConn) {
		p.hello()
		p.records(record(0, 7), record(1, 7))
		p.records(record(0, 10), record(2, 1))
		p.wait()
	}, func(c *run) {
		if hello := next[Connected](c).Hello; hello.Server != "gateway" || len(hello.Sensors) != 2 {
			t.Errorf("%+v", hello)
		}
		want := Records{{"indoor", 0, false, record(0, 7)}, {"outdoor", 0, false, record(1, 7)}}
		if diff := cmp.Diff(want, next[Records](c)); diff != "" {
			t.Error(diff)
		}
		want = Records{{"indoor", 2, false, record(0, 10)}, {"sensor_2", 0, false, record(2, 1)}}
		if diff := cmp.Diff(want, next[Records](c)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestReadingsV1(t *testing.T) {
	for _, tt := range []struct{ protocol, url, name string }{
		{wire.ReadingsV1, "ws://gateway.test/", "primary"},
		{"", "ws://gateway.test", "primary"},
		{wire.ReadingsV1, "ws://gateway.test/sensors/attic?since=5", "attic"},
	} {
		bubble(t, Options{URL: tt.url, Subprotocol: tt.protocol}, func(p *serverConn) {
			if p.Subprotocol() != tt.protocol {
				t.Errorf("subprotocol %q, want %q", p.Subprotocol(), tt.protocol)
			}
			_ = p.WriteMessage(websocket.BinaryMessage, wire.Failed(wire.NoAck, 5).Append(nil))
			p.wait()
		}, func(c *run) {
			next[Connected](c)
			r := next[Records](c)
			if len(r) != 1 || r[0].Name != tt.name || r[0].Fault != wire.NoAck || r[0].UnixMilli != 5 {
				t.Errorf("%s: %+v, want one of %s", tt.url, r, tt.name)
			}
		})
	}
}

func TestReadingsJSON(t *testing.T) {
	bubble(t, Options{Subprotocol: wire.ReadingsJSON}, func(p *serverConn) {
		p.hello()
		failed := wire.Record{Seq: 9, Fault: wire.Checksum, Reading: wire.Failed(wire.Checksum, 1712345678901)}
		conflated := record(0, 12)
		conflated.Flags = wire.Conflated
		for _, r := range []wire.Record{record(0, 7), failed, conflated} {
			_ = p.WriteMessage(websocket.TextMessage, wire.AppendSensorJSON(nil, &wire.SensorInfo{Name: "indoor"}, r))
		}
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		if diff := cmp.Diff(Records{{"indoor", 0, false, record(0, 7)}}, next[Records](c)); diff != "" {
			t.Error(diff)
		}
		r := next[Records](c)[0]
		if r.Fault != wire.Checksum || r.Reading.Fault() != wire.Checksum || r.Missed != 1 || r.UnixMilli != 1712345678901 {
			t.Errorf("%+v", r)
		}
		if r := next[Records](c)[0]; r.Seq != 12 || r.Flags != wire.Conflated {
			t.Errorf("%+v, want a conflated one", r)
		}
	})
}

// A restart: the server asks for a wait, and the client subscribes again.
func TestReconnects(t *testing.T) {
	o := Options{Subprotocol: wire.ReadingsV2, Subscribe: []string{"motors", "events"}}
	bubble(t, o, func(p *serverConn) {
		p.hello()
		if p.n > 0 {
			p.resumption(`{"epoch":"e1","since":{"indoor":7,"outdoor":4294967295},"topic":"sensors"}`)
		}
		for _, topic := range []string{"motors", "events"} {
			if e := p.next(); e.Type != "subscribe" || string(e.Payload) != `{"topic":"`+topic+`"}` {
				t.Errorf("connection %d: %s %s, want subscribe to %s", p.n, e.Type, e.Payload, topic)
			}
		}
		if p.n == 0 {
			p.records(record(0, 7))
			p.bye(wire.CloseServiceRestart, "Service restart; retry_ms=1234")
		}
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		next[Records](c)
		lost := next[Disconnected](c)
		var why *ServerError
		if lost.Wait != 1234*time.Millisecond || !errors.As(lost.Err, &why) || why.Code != 1012 {
			t.Errorf("%+v, want 1012 and a wait of 1.234 s", lost)
		}
		at := time.Now()
		next[Connected](c)
		if took := time.Since(at); took != 1234*time.Millisecond {
			t.Errorf("connected again after %v", took)
		}
	})
}

// Nobody listens until the circuit opens; then one try decides.
func TestCircuitOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		serve(t, p, func(p *serverConn) { p.hello(); p.wait() })
		begin, tries := time.Now(), 0
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			if tries++; tries <= 11 {
				return nil, errRefused
			}
			return p.dial(ctx, network, addr)
		}
		start(t, Options{Subprotocol: wire.ReadingsV2}, dial, func(c *run) {
			for i := range 11 {
				lost := next[Disconnected](c)
				least := min(time.Second<<i, longestWait)
				most := min(least+time.Second, longestWait)
				if i >= 9 {
					least, most = circuitPause, circuitPause
				}
				if lost.Wait < least || lost.Wait > most || !errors.Is(lost.Err, errRefused) {
					t.Errorf("failure %d: %+v, want a wait of %v to %v", i+1, lost, least, most)
				}
			}
			next[Connected](c)
			if took := time.Since(begin); took < 13*time.Minute+63*time.Second || took > 13*time.Minute+70*time.Second {
				t.Errorf("all this took %v", took)
			}
		})
	})
}

func TestSilence(t *testing.T) {
	t.Run("is a loss", func(t *testing.T) {
		bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) { p.hello(); p.wait() }, func(c *run) {
			next[Connected](c)
			at := time.Now()
			lost := next[Disconnected](c)
			if took := time.Since(at); took != silence || !strings.Contains(lost.Err.Error(), "silent") {
				t.Errorf("after %v: %v, want after %v", took, lost.Err, silence)
			}
		})
	})
	t.Run("but for pings", func(t *testing.T) {
		bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) {
			p.hello()
			for range 5 {
				time.Sleep(30 * time.Second)
				_ = p.WriteControl(websocket.PingMessage, []byte("beat"), time.Now().Add(time.Second))
			}
			for range 5 {
				if data := <-p.pongs; data != "beat" {
					t.Errorf("pong %q", data)
				}
			}
			p.bye(wire.CloseNormal, "enough")
		}, func(c *run) {
			next[Connected](c)
			at := time.Now()
			if lost := next[Disconnected](c); time.Since(at) != 150*time.Second {
				t.Errorf("after %v: %v", time.Since(at), lost.Err)
			}
		})
	})
	t.Run("before hello", func(t *testing.T) {
		bubble(t, Options{Subprotocol: wire.ReadingsV2, OpenTimeout: 3 * time.Second}, func(p *serverConn) {
			for p.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) == nil { // no excuse
				time.Sleep(time.Second)
			}
		}, func(c *run) {
			at := time.Now()
			lost := next[Disconnected](c)
			if took := time.Since(at); took != 3*time.Second || !strings.Contains(lost.Err.Error(), "hello") {
				t.Errorf("after %v: %v", took, lost.Err)
			}
		})
	})
}

// The handshake that is never answered ends in time, and at once when asked to.
func TestSlowHandshake(t *testing.T) {
	mute := func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			b := make([]byte, 100)
			for {
				if _, err := theirs.Read(b); err != nil {
					return
				}
			}
		}()
		return ours, nil
	}
	synctest.Test(t, func(t *testing.T) {
		start(t, Options{OpenTimeout: 7 * time.Second}, mute, func(c *run) {
			at := time.Now()
			next[Disconnected](c)
			if took := time.Since(at); took != 7*time.Second {
				t.Errorf("took %v", took)
			}
		})
	})
	synctest.Test(t, func(t *testing.T) {
		start(t, Options{}, mute, func(c *run) {
			synctest.Wait()
			at := time.Now()
			c.stop()
			if err := c.end(); err != nil || time.Since(at) != 0 {
				t.Errorf("after %v: %v", time.Since(at), err)
			}
			c.ended <- nil
		})
	})
}

func TestLeaves(t *testing.T) {
	t.Run("with a close handshake", func(t *testing.T) {
		code := make(chan int, 1)
		bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) {
			p.hello()
			code <- p.wait()
		}, func(c *run) {
			next[Connected](c)
			at := time.Now()
			c.stop()
			if err := c.end(); err != nil || time.Since(at) != 0 {
				t.Errorf("after %v: %v", time.Since(at), err)
			}
			if got := <-code; got != wire.CloseNormal {
				t.Errorf("close code %d", got)
			}
			if err := c.Send("late"); !errors.Is(err, ErrNotConnected) {
				t.Errorf("Send: %v", err)
			}
		})
	})
	t.Run("a server that does not answer", func(t *testing.T) {
		bubble(t, Options{Subprotocol: wire.ReadingsV2, CloseTimeout: 2 * time.Second}, func(p *serverConn) {
			p.rude.Store(true)
			p.hello()
			for p.WriteMessage(websocket.BinaryMessage, record(0, 1).Append(nil)) == nil {
				time.Sleep(100 * time.Millisecond)
			}
		}, func(c *run) {
			next[Connected](c)
			at := time.Now()
			c.stop()
			if err := c.end(); err != nil || time.Since(at) != 2*time.Second {
				t.Errorf("after %v: %v", time.Since(at), err)
			}
		})
	})
	t.Run("between two tries", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			refuse := func(context.Context, string, string) (net.Conn, error) { return nil, errRefused }
			start(t, Options{}, refuse, func(c *run) {
				next[Disconnected](c)
				at := time.Now()
				c.stop()
				if err := c.end(); err != nil || time.Since(at) != 0 {
					t.Errorf("after %v: %v", time.Since(at), err)
				}
			})
		})
	})
}

// An answer that another try would not change ends Run, even if ctx has ended too.
func TestFinalCloses(t *testing.T) {
	for _, reason := range []string{"Unknown endpoint", "Nick taken", "Rate limit exceeded"} {
		bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) { p.bye(wire.ClosePolicy, reason) }, func(c *run) {
			var why *ServerError
			if err := c.end(); !errors.As(err, &why) || why.Code != 1008 || why.Reason != reason {
				t.Errorf("%v, want 1008 %s", err, reason)
			}
		})
	}
	bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) {
		p.rude.Store(true) // the close frames cross
		p.hello()          // from now on the client may close
		p.wait()
		p.bye(wire.ClosePolicy, "Nick taken")
	}, func(c *run) {
		next[Connected](c)
		c.stop()
		var why *ServerError
		if err := c.end(); !errors.As(err, &why) || why.Code != 1008 {
			t.Errorf("%v, want 1008", err)
		}
	})
}

func TestHandshakeAnswers(t *testing.T) {
	for _, tt := range []struct {
		status int
		final  bool
	}{{401, true}, {403, true}, {404, false}, {426, false}, {500, false}, {503, false}} {
		synctest.Test(t, func(t *testing.T) {
			p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Token") != "secret" || r.Host != "other.test" {
					t.Errorf("Host %q, header %v", r.Host, r.Header)
				}
				http.Error(w, "because\x1b[2J\nof this", tt.status)
			})}
			go func() { _ = server.Serve(p) }()
			defer server.Close()
			o := Options{Header: http.Header{"X-Token": {"secret"}, "Host": {"other.test"}}}
			start(t, o, p.dial, func(c *run) {
				var err error
				if tt.final {
					err = c.end()
				} else {
					err = next[Disconnected](c).Err
				}
				var why *ServerError
				if !errors.As(err, &why) || why.Code != tt.status || !strings.HasPrefix(why.Reason, "because") {
					t.Errorf("%v, want %d", err, tt.status)
				} else if strings.Contains(err.Error(), "\x1b") {
					t.Errorf("%q reaches the terminal", err)
				}
			})
		})
	}
}

func TestUnknownSensor(t *testing.T) {
	bubble(t, Options{URL: "ws://gateway.test/sensors/nope", Subprotocol: wire.ReadingsV2}, func(p *serverConn) { p.bye(wire.ClosePolicy, wire.CloseReasonEndpoint) }, func(c *run) {
		var why *ServerError
		if err := c.end(); !errors.As(err, &why) || !strings.HasPrefix(err.Error(), `unknown sensor "nope": `) {
			t.Errorf("%v", err)
		}
	})
}

func TestBadOptions(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{URL: "http://gateway.test/"}, "ws://"},
		{Options{URL: "gateway.test:8765"}, "ws://"},
		{Options{URL: "ws://"}, "no host"},
		{Options{URL: "ws://a b/"}, "bad URL"},
		{Options{URL: "ws://gateway.test/", Subprotocol: wire.ReadingsV2, Since: map[string]uint32{"indoor": 1}}, "epoch"},
		{Options{URL: "ws://gateway.test/", Subprotocol: wire.ReadingsV1, Since: map[string]uint32{"indoor": 1}, Epoch: "e1"}, "readings.v2"},
		{Options{URL: "ws://gateway.test/#x"}, "#fragment"},
		{Options{URL: "ws://me:secret@gateway.test/"}, "Authorization"},
		{Options{URL: "ws://gateway.test/", Header: http.Header{"Connection": {"close"}}}, "Connection"},
		{Options{URL: "ws://gateway.test/", Header: http.Header{"Sec-Websocket-Protocol": {"x"}}}, "Protocol"},
	} {
		dial := func(context.Context, string, string) (net.Conn, error) {
			t.Errorf("%+v: dialled", tt.o)
			return nil, errRefused
		}
		start(t, tt.o, dial, func(c *run) {
			err := c.end()
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%+v: %v, want %q", tt.o, err, tt.want)
			}
		})
	}
}
