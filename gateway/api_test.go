package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"sensorgateway/wire"
)

// endless is a history without an end.
type endless struct{ *shelf }

func (e endless) options(o *Options) { o.History = e }

func (e endless) Between(uint16, int64, int64) func() ([]wire.Record, error) {
	return func() ([]wire.Record, error) { return make([]wire.Record, 1), nil }
}

// A client that says no more while its answer is under way is taken for gone. If
// it is not, it must see that it has not got all.
func TestAnswerToAHalfClosedConnection(t *testing.T) {
	s := start(t, endless{newShelf()}.options)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /api/v1/readings?sensor=indoor HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = c.(*net.TCPConn).CloseWrite()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err == nil {
		t.Error("half an answer passes for a whole one")
	}
}
