package gateway

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
)

// BenchmarkHandshake is what a token costs in a handshake: one operation is a client
// without a token and one with, in turn, on the same server among 1,000 tokens. The goal
// is a ratio of 1.05 at most.
func BenchmarkHandshake(b *testing.B) {
	dir := b.TempDir()
	var token string
	if err := tokens.Edit(dir, func(f *tokens.File) (err error) {
		for i := range 1000 {
			if token, err = f.Add(tokens.Token{Name: fmt.Sprint("holder ", i), Role: tokens.Operator}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := start(b, func(o *Options) {
		o.Log = log
		o.Access = access.NewGuard(access.Options{Policy: &access.Policy{}, Tokens: tokens.Open(dir, log), Open: true, Refused: func(string, string, string) {}, Log: log})
	})
	request := func(header string) []byte {
		return fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", s.addr, header)
	}
	without, with := request(""), request("Authorization: Bearer "+token+"\r\n")
	var took [2][]time.Duration
	answer := make([]byte, 4096)
	shake := func(i int, request []byte) {
		begin := time.Now()
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		n, err := io.ReadAtLeast(c, answer, len("HTTP/1.1 101"))
		if err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 101")) {
			b.Fatalf("%v: %s", err, answer[:n])
		}
		took[i] = append(took[i], time.Since(begin))
		_ = c.Close() // answered
	}
	for n := 0; b.Loop(); n++ {
		if n%2 == 0 {
			shake(0, without)
			shake(1, with)
		} else {
			shake(1, with)
			shake(0, without)
		}
	}
	median := func(i int) float64 {
		slices.Sort(took[i])
		return float64(took[i][len(took[i])/2].Nanoseconds()) / 1000
	}
	b.ReportMetric(median(0), "µs-without")
	b.ReportMetric(median(1), "µs-with")
	b.ReportMetric(median(1)/median(0), "ratio")
}
