package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// TestRevokedMeanwhile: a client whose token is revoked is cut off within a second: from a
// stream at 50 Hz, from a replay, and from a download.
func TestRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	state := storePast(t, 100_000, "indoor")
	config := writeFile(t, "gateway.yaml", "sensors: [{name: indoor, chip: sht3x, interval: 20ms}]\n")
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", state)
	r := routeTo(p)
	situations := []struct {
		name string
		// begin starts with a token; it returns a function that waits for the end.
		begin func(t *testing.T, r route, token string) (end func() error)
	}{
		{"a stream", revokedInStream}, {"a replay", revokedInReplay}, {"a download", revokedInDownload},
	}
	var took []time.Duration
	defer func() { withinASecond(t, took) }()
	for i := range tenth(t, 600, "revocations") {
		s, name, token := situations[i%len(situations)], fmt.Sprint("viewer ", i), ""
		if err := tokens.Edit(state, func(f *tokens.File) (err error) {
			token, err = f.Add(tokens.Token{Name: name, Role: tokens.Viewer})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		awaitToken(t, r, token)
		end := s.begin(t, r, token)
		if err := tokens.Edit(state, func(f *tokens.File) error { return f.Revoke(name) }); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := end(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		took = append(took, time.Since(begin))
	}
}

// untilRevoked reads until the close frame, and makes sure that nothing follows it.
func untilRevoked(c *websocket.Conn) error {
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for {
		_, _, err := c.ReadMessage()
		if err == nil {
			continue
		}
		if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) || !strings.Contains(err.Error(), "Token revoked") {
			return fmt.Errorf("%w, want Token revoked", err)
		}
		if rest, err := io.ReadAll(c.NetConn()); len(rest) > 0 || err != nil {
			return fmt.Errorf("%d bytes after the close frame, %w", len(rest), err)
		}
		return nil
	}
}

func revokedInStream(t *testing.T, r route, token string) func() error {
	c := readingsWith(t, r, token)
	for range 5 {
		if _, _, err := c.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	return func() error { return untilRevoked(c) }
}

func revokedInReplay(t *testing.T, r route, token string) func() error {
	c := readingsWith(t, r, token)
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","payload":{"topic":"sensors","epoch":"e1","since":{"indoor":4294967295}}}`)); err != nil {
		t.Fatal(err)
	}
	for historical := false; !historical; {
		kind, b, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if kind == websocket.BinaryMessage {
			records, err := wire.ParseRecords(b)
			if err != nil {
				t.Fatal(err)
			}
			historical = records[0].Flags&wire.Historical != 0
		}
	}
	return func() error { return untilRevoked(c) }
}

// readingsWith connects with buffers so small that the missed readings do not fit in.
func readingsWith(t *testing.T, r route, token string) *websocket.Conn {
	d := websocket.Dialer{Subprotocols: []string{wire.ReadingsV2}, HandshakeTimeout: patience, NetDial: dialNarrow}
	c, _, err := d.Dial("ws"+strings.TrimPrefix(r.base, "http")+"/", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c
}

func dialNarrow(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err == nil {
		err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
	}
	return c, err
}

func revokedInDownload(t *testing.T, r route, token string) func() error {
	transport := &http.Transport{DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
		return dialNarrow(network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	request, err := r.request("bearer", credential{token: token}, "/api/v1/readings?sensor=indoor&from=1500000000000&format=csv", "")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
	return func() error {
		defer answer.Body.Close()
		// A client that reads at once would have everything before the gateway knows.
		await(t, "the token is refused", func() bool { return answered(t, r, token) == http.StatusUnauthorized })
		n, err := io.Copy(io.Discard, answer.Body)
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("it ended with %w after %d bytes, want it to break off", err, n)
		}
		return nil
	}
}
