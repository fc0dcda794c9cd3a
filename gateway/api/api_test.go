package api

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// gateway is a stand-in for what is live and what is retained of three sensors.
type gateway struct {
	records []wire.Record
	fail    error // of reading
	lost    string
	endless bool // so is what is retained
	refused atomic.Int64
}

func (*gateway) Hello(*access.Identity) wire.Hello {
	return wire.Hello{Epoch: "e1", Time: 1, Sensors: sensors, Motors: []wire.MotorState{}}
}

func (g *gateway) Newest(sensor int) (r wire.Record, ok bool) {
	for _, last := range g.records {
		if int(last.Sensor) == sensor {
			r, ok = last, true
		}
	}
	return r, ok
}

func (g *gateway) Ready() (string, bool) { return "as it is", len(g.records) > 0 }

func (g *gateway) Durable() error { return g.fail }

func (g *gateway) DurableAge() time.Duration { return 1234567 * time.Microsecond }

func (g *gateway) Lost() (reason string, readings int) { return g.lost, len(g.lost) }

func (g *gateway) Between(sensor uint16, from, to int64) func() ([]wire.Record, error) {
	n := 0
	return func() (batch []wire.Record, err error) {
		switch {
		case g.endless:
			return make([]wire.Record, 1), nil
		case g.fail != nil:
			return nil, g.fail
		}
		for ; n < len(g.records) && len(batch) < 100; n++ {
			if r := g.records[n]; r.Sensor == sensor && r.UnixMilli >= from && r.UnixMilli < to {
				r.Flags |= wire.Historical
				batch = append(batch, r)
			}
		}
		if len(batch) == 0 {
			err = io.EOF
		}
		return batch, err
	}
}

func (g *gateway) Buckets(_ uint16, from, _, step int64) func() ([]wire.Bucket, error) {
	batches := [][]wire.Bucket{{
		{UnixMilli: from, Count: 2, Failed: 1, Fault: wire.NoAck, Values: [2]wire.Span{{Min: 20, Mean: 20.5, Max: 21}, {Min: 40, Mean: 41, Max: 42}}},
		{UnixMilli: from + step, Failed: 1, Fault: wire.BusDown},
	}}
	return func() ([]wire.Bucket, error) {
		if len(batches) == 0 {
			return nil, io.EOF
		}
		batch := batches[0]
		batches = batches[1:]
		return batch, nil
	}
}

var sensors = []wire.SensorInfo{
	{ID: 0, Name: "indoor", Model: "SHT3x", IntervalMS: 100, NextSeq: 7},
	{ID: 1, Name: "outdoor", Model: "BME280", IntervalMS: 100, NextSeq: 7, Primary: true},
	{ID: 2, Name: "air", Model: "SCD4x", IntervalMS: 100, NextSeq: 7, Values: []wire.Quantity{wire.CO2}},
}

func (g *gateway) api() *API {
	return New(Options{
		Sensors: sensors, Live: g, History: g, Alive: func() error { return g.fail },
		Else: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler), Share: limit.NewShare(),
		Host:    func(r *http.Request) string { host, _, _ := net.SplitHostPort(r.RemoteAddr); return host },
		Refused: func(*http.Request, string, string) { g.refused.Add(1) },
	})
}

// start serves the API.
func (g *gateway) start(t *testing.T) *server {
	s := httptest.NewServer(g.api())
	t.Cleanup(s.Close)
	return &server{s, t}
}

type server struct {
	*httptest.Server
	t *testing.T
}

// A client that half-closes its connection counts as having left. If it still
// reads, it must see that the answer is not complete.
func TestAnswerToAHalfClosedConnection(t *testing.T) {
	s := (&gateway{endless: true}).start(t)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
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
	g := &gateway{records: []wire.Record{
		{Seq: 7, Reading: wire.Reading{Values: [2]float32{21.5, 40.25}, UnixMilli: 1712345678901}},
		{Seq: 8, Fault: wire.NoAck, Reading: wire.Failed(wire.NoAck, 1712345679001)},
		{Seq: 9, Reading: wire.Reading{Values: [2]float32{-3, 0}, UnixMilli: 1712345679101}},
	}}
	s := g.start(t)
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
		{"sensor=indoor&from=0&to=10&step=5", "application/octet-stream, text/csv;q=0.5", 200, "text/csv; charset=utf-8", ""},
		{"sensor=indoor", "application/json;q=0, */*", 200, "text/csv; charset=utf-8", ""},
		{"sensor=indoor", "*/*, application/json;Q=0.1, text/*;q=0.2", 200, "application/octet-stream", ""},
		{"sensor=indoor", "text/csv, application/json", 200, "text/csv; charset=utf-8", ""},
		{"sensor=indoor", "*/*;q=0.5, application/*;q=0", 200, "text/csv; charset=utf-8", ""},
		{"sensor=indoor", "image/png", 406, "application/json", `"code":406`},
		{"", "", 422, "application/json", "sensor is missing"},
		{"sensor=nope", "", 404, "application/json", "Unknown sensor: nope"},
		{"sensor=indoor&from=1.5", "", 422, "application/json", "from must be Unix milliseconds"},
		{"sensor=indoor&from=1795826680", "", 400, "application/json", "milliseconds, please: from=1795826680 is in January 1970 (if these are seconds, write 1795826680000)"},
		{"sensor=indoor&from=0&to=1795830280", "", 400, "application/json", "milliseconds, please: to=1795830280 "},
		{"sensor=indoor&from=2&to=1", "", 422, "application/json", "from 2 is later than to 1"},
		{"sensor=indoor&step=0", "", 422, "application/json", "step must be"},
		{"sensor=indoor&sensor=outdoor", "", 422, "application/json", "sensor is given twice"},
		{"sensor=indoor&form=0", "", 422, "application/json", `unknown parameter \"form\"`},
		{"sensor=%zz", "", 422, "application/json", "invalid URL escape"},
	} {
		code, header, body := s.get("/api/v1/readings?"+tt.query, tt.accept)
		if code == http.StatusOK && !slices.Equal(header.Values("Vary"), []string{"Origin", "Accept"}) {
			t.Errorf("%s: Vary: %q", tt.query, header.Values("Vary"))
		}
		if code != tt.code || header.Get("Content-Type") != tt.kind || !strings.Contains(body, tt.body) {
			t.Errorf("%s as %q: %d %s\n%s\nwant %d %s\n%s", tt.query, tt.accept, code, header.Get("Content-Type"), body, tt.code, tt.kind, tt.body)
		}
	}
	if _, _, body := s.get("/api/v1/sensors", ""); !strings.Contains(body, `{"epoch":"e1","time":1,"simulated":false,"sensors":[`) || !strings.Contains(body, `"next_seq":7,"values":[{"quantity":"co2","unit":"ppm"}]}]}`) {
		t.Errorf("sensors: %s", body)
	}
	if _, _, body := s.get("/api/v1/motors", ""); body != `{"motors":[]}`+"\n" {
		t.Errorf("motors: %s", body)
	}
	g.fail = io.ErrUnexpectedEOF // half an answer must not pass for a whole one
	r, err := http.Get(s.URL + "/api/v1/readings?sensor=indoor")
	if err == nil {
		_, err = io.ReadAll(r.Body)
		r.Body.Close()
	}
	if err == nil {
		t.Error("a log that cannot be read gave a whole answer")
	}
}

func (s *server) get(path, accept string) (code int, header http.Header, body string) {
	s.t.Helper()
	request, err := http.NewRequest("GET", s.URL+path, nil)
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

func TestHealth(t *testing.T) {
	g := &gateway{}
	s := g.start(t)
	want := func(path string, code int, body string) {
		t.Helper()
		if c, _, b := s.get(path, ""); c != code || b != body+"\n" {
			t.Errorf("%s: %d %s, want %d %s", path, c, b, code, body)
		}
	}
	want("/healthz", 200, `{"ok":true,"reason":"ticks are made and broadcast"}`)
	want("/readyz", 503, `{"durable":true,"durable_age_ms":1234,"ok":false,"reason":"as it is"}`)
	want("/sensors/indoor", 503, `{"type":"error","payload":{"code":503,"message":"No reading yet"}}`)
	g.records = []wire.Record{{Seq: 7, Reading: wire.Reading{Values: [2]float32{20, 40}, UnixMilli: 1000}}}
	want("/readyz", 200, `{"durable":true,"durable_age_ms":1234,"ok":true,"reason":"as it is"}`)
	want("/sensors/indoor", 200, `{"type":"sensor","payload":{"sensor":"indoor","temp":20,"unit":"C","humidity":40,"ts":1.000,"seq":7}}`)
	g.fail = io.ErrUnexpectedEOF
	want("/healthz", 503, `{"ok":false,"reason":"unexpected EOF"}`)
	want("/readyz", 200, `{"durable":false,"durable_age_ms":1234,"ok":true,"reason":"as it is","storage":"unexpected EOF"}`)
	g.fail, g.lost = nil, "a segment"
	want("/readyz", 200, `{"durable":true,"durable_age_ms":1234,"lost":{"readings":9,"reason":"a segment"},"ok":true,"reason":"as it is"}`)
	g.lost = ""
	if c, _, _ := s.get("/metrics", ""); c != 404 {
		t.Errorf("metrics that there are not: %d", c)
	}
	r, err := http.Post(s.URL+"/healthz", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if allow := r.Header.Get("Allow"); r.StatusCode != 405 || !slices.Equal(strings.Split(allow, ", "), []string{"GET", "HEAD"}) {
		t.Errorf("POST: %d, Allow: %s", r.StatusCode, allow)
	}
}

// A format in the address goes before those that a browser accepts.
func TestFormatInTheAddress(t *testing.T) {
	g := &gateway{records: []wire.Record{{Seq: 7, Reading: wire.Reading{Values: [2]float32{20, 40}, UnixMilli: 1000}}}}
	s := g.start(t)
	for _, tt := range []struct {
		query string
		code  int
		kind  string
	}{
		{"format=csv", 200, "text/csv; charset=utf-8"},
		{"format=json", 200, "application/json"},
		{"format=binary", 200, "application/octet-stream"},
		{"format=csv&step=1000", 200, "text/csv; charset=utf-8"},
		{"format=binary&step=1000", 406, "application/json"},
		{"format=", 422, "application/json"},
		{"format=CSV", 422, "application/json"},
		{"format=csv&format=json", 422, "application/json"},
	} {
		code, header, body := s.get("/api/v1/readings?sensor=indoor&from=1000&to=2000&"+tt.query, "text/html,application/octet-stream;q=0.9,*/*;q=0.8")
		if code != tt.code || header.Get("Content-Type") != tt.kind {
			t.Errorf("%s: %d %s %s, want %d %s", tt.query, code, header.Get("Content-Type"), body, tt.code, tt.kind)
		}
	}
}

func TestOtherQuantitiesInQueries(t *testing.T) {
	g := &gateway{records: []wire.Record{
		{Sensor: 2, Seq: 7, Reading: wire.Reading{Values: [2]float32{612, wire.NotMeasured()}, UnixMilli: 1000}},
	}}
	s := g.start(t)
	if _, _, body := s.get("/sensors/air", ""); body != `{"type":"sensor","payload":{"sensor":"air","values":{"co2":612},"units":{"co2":"ppm"},"ts":1.000,"seq":7}}`+"\n" {
		t.Errorf("the newest reading: %s", body)
	}
	g.records = append(g.records, wire.Record{Sensor: 2, Seq: 8, Fault: wire.NoAck, Reading: wire.Failed(wire.NoAck, 1100)})
	for _, tt := range []struct{ query, accept, want string }{
		{"from=1000&to=2000", "application/json", `{"sensor":"air","units":{"co2":"ppm"},"from":1000,"to":2000,"readings":[` +
			`{"ts":1.000,"values":{"co2":612},"seq":7},{"ts":1.100,"values":{"co2":null},"fault":"no_ack","seq":8}]}` + "\n"},
		{"from=1000&to=2000", "text/csv", "time,unix_ms,sensor,seq,co2,fault\n" +
			"1970-01-01T00:00:01.000Z,1000,air,7,612,\n1970-01-01T00:00:01.100Z,1100,air,8,,no_ack\n"},
	} {
		if _, _, body := s.get("/api/v1/readings?sensor=air&"+tt.query, tt.accept); body != tt.want {
			t.Errorf("%s as %s: %s\nwant %s", tt.query, tt.accept, body, tt.want)
		}
	}
}

// Whatever a client accepts, the answer has a format that there is, or none.
func FuzzAccepted(f *testing.F) {
	f.Add("text/csv;q=0.9, */*;q=0.1")
	f.Add("application/octet-stream")
	f.Add(";q=,,image/png;q=nan")
	f.Fuzz(func(t *testing.T, header string) {
		switch got := accepted([]string{header}, []string{formatJSON, formatCSV, formatBinary}); got {
		case "", formatJSON, formatCSV, formatBinary:
		default:
			t.Errorf("%q: %q", header, got)
		}
	})
}
