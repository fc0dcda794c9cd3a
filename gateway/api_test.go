package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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
func TestAPI(t *testing.T) {
	log := newShelf()
	s := start(t, log.options)
	log.keep([]wire.Record{
		{Seq: 7, Reading: wire.Reading{Values: [2]float32{21.5, 40.25}, UnixMilli: 1712345678901}},
		{Seq: 8, Fault: wire.NoAck, Reading: wire.Failed(wire.NoAck, 1712345679001)},
		{Seq: 9, Reading: wire.Reading{Values: [2]float32{-3, 0}, UnixMilli: 1712345679101}},
	})
	for _, tt := range []struct {
		query, accept string
		code          int
		kind, body    string
	}{
		{"sensor=indoor&from=1712345678901&to=1712345679101", "", 200, "application/json",
			`{"sensor":"indoor","from":1712345678901,"to":1712345679101,"readings":[{"ts":1712345678.901,"temp":21.5,"humidity":40.25,"seq":7},{"ts":1712345679.001,"temp":null,"humidity":null,"fault":"no_ack","seq":8}]}` + "\n"},
		{"sensor=outdoor&from=0", "*/*", 200, "application/json", `,"readings":[]}` + "\n"},
		{"sensor=indoor&from=9000000000000", "", 200, "application/json", `"from":9000000000000,"to":9000000000000,"readings":[]}` + "\n"},
		{"sensor=indoor&from=0&to=1712345678902", "text/html, text/csv;q=0.9, */*;q=0.1", 200, "text/csv; charset=utf-8",
			"time,unix_ms,sensor,seq,temperature,humidity,fault\n" + "2024-04-05T19:34:38.901Z,1712345678901,indoor,7,21.5,40.25,\n"},
		{"sensor=indoor&from=0&to=1712345678902", "application/octet-stream", 200, "application/octet-stream",
			string(wire.Record{Flags: wire.Historical, Seq: 7, Reading: wire.Reading{Values: [2]float32{21.5, 40.25}, UnixMilli: 1712345678901}}.Append(nil))},
		{"sensor=indoor&from=1000&to=3000&step=1000", "application/json", 200, "application/json",
			`{"sensor":"indoor","from":1000,"to":3000,"step":1000,"buckets":[{"ts":1.000,"count":2,"failed":1,"fault":"no_ack","temp":{"min":20,"mean":20.5,"max":21},"humidity":{"min":40,"mean":41,"max":42}},{"ts":2.000,"count":0,"failed":1,"fault":"bus_down","temp":null,"humidity":null}]}` + "\n"},
		{"sensor=indoor&from=1000&to=3000&step=1000", "text/csv", 200, "text/csv; charset=utf-8", "time,unix_ms,sensor,count,failed,fault,temperature_min,temperature_mean,temperature_max,humidity_min,humidity_mean,humidity_max\n" + "1970-01-01T00:00:01.000Z,1000,indoor,2,1,no_ack,20,20.5,21,40,41,42\n"},
		{"sensor=indoor&from=0&to=10&step=5", "application/octet-stream", 406, "application/json", `"code":406`},
		{"sensor=indoor", "image/png", 406, "application/json", `"code":406`},
		{"", "", 422, "application/json", "sensor is missing"},
		{"sensor=nope", "", 404, "application/json", "Unknown sensor: nope"},
		{"sensor=indoor&from=1.5", "", 422, "application/json", "from must be Unix milliseconds"},
		{"sensor=indoor&from=2&to=1", "", 422, "application/json", "from 2 is later than to 1"},
		{"sensor=indoor&step=0", "", 422, "application/json", "step must be"},
		{"sensor=indoor&sensor=outdoor", "", 422, "application/json", "sensor is given twice"},
		{"sensor=indoor&form=0", "", 422, "application/json", `unknown parameter \"form\"`},
		{"sensor=%zz", "", 422, "application/json", "invalid URL escape"},
	} {
		code, header, body := s.get("/api/v1/readings?"+tt.query, tt.accept)
		if code != tt.code || header.Get("Content-Type") != tt.kind || !strings.Contains(body, tt.body) {
			t.Errorf("%s as %q: %d %s\n%s\nwant %d %s\n%s", tt.query, tt.accept, code, header.Get("Content-Type"), body, tt.code, tt.kind, tt.body)
		}
	}
	if _, _, body := s.get("/api/v1/sensors", ""); !strings.Contains(body, `{"epoch":"e1","time":`) || !strings.Contains(body, `"name":"outdoor","model":"BME280","interval_ms":100,"next_seq":7,"primary":true,"values":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}]}]}`) {
		t.Errorf("sensors: %s", body)
	}
	if _, _, body := s.get("/api/v1/motors", ""); body != `{"motors":[]}`+"\n" {
		t.Errorf("motors: %s", body)
	}
	log.fail = io.ErrUnexpectedEOF // half an answer must not pass for a whole one
	r, err := http.Get("http://" + s.addr + "/api/v1/readings?sensor=indoor")
	if err == nil {
		_, err = io.ReadAll(r.Body)
		r.Body.Close()
	}
	if err == nil {
		t.Error("a log that cannot be read gave a whole answer")
	}
}

func (s *testServer) get(path, accept string) (code int, header http.Header, body string) {
	s.t.Helper()
	request, err := http.NewRequest("GET", "http://"+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.StatusCode, r.Header, string(b)
}
