package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sensorgateway/wire"
)

// Queries of the past: protocol.md, section 6.

const (
	queryTime = time.Hour // what "from" is before "to" if it is not given
	// queryWrite is how long a client may take for a piece of an answer.
	queryWrite  = 10 * time.Second
	queryBuffer = 16 << 10
)

// apiSensors answers what sensors there are.
func (s *Server) apiSensors(w http.ResponseWriter, _ *http.Request) {
	s.hub.mu.Lock()
	hello := s.hub.hello()
	s.hub.mu.Unlock()
	writeJSON(w, http.StatusOK, struct {
		Epoch     string            `json:"epoch"`
		Time      int64             `json:"time"` // Unix milliseconds
		Simulated bool              `json:"simulated"`
		Sensors   []wire.SensorInfo `json:"sensors"`
	}{hello.Epoch, hello.Time, hello.Simulated, hello.Sensors})
}

// apiMotors answers what motors there are, as they are now.
func (s *Server) apiMotors(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"motors": s.opts.Motors.States()})
}

// query is what a client asks of the past.
type query struct {
	sensor         *wire.SensorInfo
	from, to, step int64 // Unix milliseconds; step 0: every reading
	format         string
}

// csv is the table that answers it.
func (q *query) csv() wire.CSV { return q.sensor.Quantities() }

// Formats of an answer.
const (
	formatJSON   = "application/json"
	formatCSV    = "text/csv"
	formatBinary = "application/octet-stream"
)

// apiReadings answers with what is kept of a sensor, as it is read: however much
// it is, little of it is in memory.
func (s *Server) apiReadings(w http.ResponseWriter, r *http.Request) {
	q, err := s.parseQuery(r)
	if err != nil {
		e := asWireError(err)
		writeJSON(w, e.Code, wire.Envelope{Type: "error", Payload: e})
		return
	}
	place, ok := s.queries.enter(r.Context(), hostOf(r.RemoteAddr))
	if !ok {
		w.Header().Set("Retry-After", "1")
		writeJSON(w, http.StatusTooManyRequests, errorEnvelope(http.StatusTooManyRequests,
			fmt.Sprintf("too many queries at once: %d of a host and %d in all may be open, and wait %v for their turn", hostOpen, maxOpen, queryWait)))
		return
	}
	defer place.leave()
	w.Header().Set("Content-Type", q.format)
	if q.format == formatCSV {
		w.Header().Set("Content-Type", formatCSV+"; charset=utf-8")
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	out := bufio.NewWriterSize(&patient{ctx: r.Context(), w: w, c: http.NewResponseController(w), place: place}, queryBuffer)
	if err := s.answer(r.Context(), out, q); err != nil {
		if r.Context().Err() == nil {
			s.opts.Log.Warn("a query of the past broke off", "client", r.RemoteAddr, "sensor", q.sensor.Name, "err", err)
		}
		// The status is out: only a broken connection says that this is not all.
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) answer(ctx context.Context, out *bufio.Writer, q query) error {
	head, separator, tail := []byte(nil), "", ""
	switch {
	case q.format == formatJSON:
		head = wire.AppendHeadJSON(nil, q.sensor, q.from, q.to, q.step)
		separator, tail = ",", wire.TailJSON
	case q.format == formatCSV && q.step > 0:
		head = []byte(q.csv().BucketHeader())
	case q.format == formatCSV:
		head = []byte(q.csv().ReadingHeader())
	}
	_, _ = out.Write(head) // bufio keeps the error for Flush
	if err := s.rows(ctx, out, q, separator); err != nil {
		return err
	}
	_, _ = out.WriteString(tail)
	_ = out.Flush() // who left, left
	return nil
}

// rows writes what the log has for the query.
func (s *Server) rows(ctx context.Context, out *bufio.Writer, q query, separator string) error {
	log := s.opts.History
	switch {
	case log == nil:
		return nil
	case q.step > 0:
		encode := wire.AppendBucketJSON
		if q.format == formatCSV {
			encode = q.csv().AppendBucket
		}
		return writeRows(ctx, out, q.sensor, separator, log.Buckets(q.sensor.ID, q.from, q.to, q.step), encode)
	}
	encode := wire.AppendReadingJSON
	switch q.format {
	case formatCSV:
		encode = q.csv().AppendReading
	case formatBinary:
		encode = func(b []byte, sensor *wire.SensorInfo, r wire.Record) []byte {
			r.Sensor = sensor.ID
			return r.Append(b)
		}
	}
	return writeRows(ctx, out, q.sensor, separator, log.Between(q.sensor.ID, q.from, q.to), encode)
}

// writeRows writes what next returns until it ends, or nobody reads it any more:
// who says nothing more may only seem to have left, so the end of ctx is an error.
func writeRows[T any](ctx context.Context, out *bufio.Writer, sensor *wire.SensorInfo, separator string, next func() ([]T, error), encode func([]byte, *wire.SensorInfo, T) []byte) error {
	between := ""
	for ctx.Err() == nil {
		batch, err := next()
		for _, row := range batch {
			line := append(out.AvailableBuffer(), between...)
			between = separator
			if _, err := out.Write(encode(line, sensor, row)); err != nil {
				return nil // who left, left
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
	return ctx.Err()
}

// patient gives a client time for each piece, instead of for the whole answer, and
// the query's place to others meanwhile.
type patient struct {
	ctx   context.Context
	w     io.Writer
	c     *http.ResponseController
	place *place
}

func (p *patient) Write(b []byte) (int, error) {
	p.place.pause()
	if err := p.c.SetWriteDeadline(time.Now().Add(queryWrite)); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	if err == nil {
		p.place.take(p.ctx) // without one the client has left, which writeRows sees
	}
	return n, err
}

// parseQuery reads what is asked for. Its errors are [*wire.Error].
func (s *Server) parseQuery(r *http.Request) (q query, err error) {
	bad := func(err error) (query, error) { return q, wire.Errorf(http.StatusUnprocessableEntity, "%v", err) }
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return bad(err)
	}
	for name, of := range values {
		switch {
		case name != "sensor" && name != "from" && name != "to" && name != "step":
			return bad(fmt.Errorf("unknown parameter %q: there are sensor, from, to and step", name))
		case len(of) != 1:
			return bad(fmt.Errorf("%s is given twice", name))
		}
	}
	name := values.Get("sensor")
	if name == "" {
		return bad(errors.New("sensor is missing: its name"))
	}
	i := s.hub.index(name)
	if i < 0 {
		return q, wire.Errorf(http.StatusNotFound, "Unknown sensor: %s", name)
	}
	q.sensor, q.to = &s.opts.Sensors[i], time.Now().UnixMilli()
	if of, ok := values["to"]; ok {
		if q.to, err = unixMilli("to", of); err != nil {
			return bad(err)
		}
	}
	q.from = max(q.to, math.MinInt64+queryTime.Milliseconds()) - queryTime.Milliseconds()
	if of, ok := values["from"]; ok {
		if q.from, err = unixMilli("from", of); err != nil {
			return bad(err)
		}
	}
	if of, ok := values["step"]; ok {
		if q.step, err = strconv.ParseInt(of[0], 10, 64); err != nil || q.step < 1 {
			return bad(fmt.Errorf("step must be milliseconds, 1 at least, not %q", of[0]))
		}
	}
	if _, ok := values["to"]; !ok {
		q.to = max(q.to, q.from) // whose clock is ahead is no error
	}
	if q.from > q.to {
		return bad(fmt.Errorf("from %d is later than to %d", q.from, q.to))
	}
	q.format = accepted(r.Header.Values("Accept"))
	if q.format == "" || q.format == formatBinary && q.step > 0 {
		return q, wire.Errorf(http.StatusNotAcceptable, "there are %s, %s and, without step, %s", formatJSON, formatCSV, formatBinary)
	}
	return q, nil
}

// unixMilli reads the one value of a parameter.
func unixMilli(name string, values []string) (int64, error) {
	ms, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || len(values) != 1 {
		return 0, fmt.Errorf("%s must be Unix milliseconds, not %q", name, strings.Join(values, ", "))
	}
	return ms, nil
}

// sinceOf reads the time that a client wants the past from. ok is false if it
// names none.
func sinceOf(u *url.URL) (since int64, ok bool, err error) {
	values, ok := u.Query()["since"]
	if ok {
		since, err = unixMilli("since", values)
	}
	return since, ok, err
}

// accepted returns the format that the client likes best (RFC 9110, section
// 12.5.1), the first of equals; JSON if it likes anything, "" if it likes none.
func accepted(headers []string) (format string) {
	best := 0.0
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		kind, parameters, _ := strings.Cut(strings.ToLower(part), ";")
		kind = strings.TrimSpace(kind)
		weight := 1.0
		for parameter := range strings.SplitSeq(parameters, ";") {
			if q, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q="); ok {
				weight, _ = strconv.ParseFloat(q, 64) // nonsense is not wanted
			}
		}
		switch kind {
		case "", "*/*", "application/*":
			kind = formatJSON
		case "text/*":
			kind = formatCSV
		case formatJSON, formatCSV, formatBinary:
		default:
			continue
		}
		if weight > best {
			best, format = weight, kind
		}
	}
	return format
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
