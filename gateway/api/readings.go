package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sensorgateway/gateway/access"
	"sensorgateway/wire"
)

// Queries of the past: wire/README.md, "What was missed".

const (
	queryTime = time.Hour // what "from" is before "to" if it is not given
	// queryWrite is how long a client may take for a piece of an answer.
	queryWrite  = 10 * time.Second
	queryBuffer = 16 << 10
)

// ReasonQueries is the reason of [Options.Refused] for one query too many.
const ReasonQueries = "queries"

// lacking is the header that says what an answer lacks, and whether it will be there later.
const lacking = "Readings-Lacking"

// query is what a client asks for.
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

// readings answers with the retained readings of a sensor while they are read, so
// little of the answer is in memory.
func (a *API) readings(w http.ResponseWriter, r *http.Request) {
	q, err := a.parseQuery(r)
	if err != nil {
		access.WriteError(w, wire.AsError(err))
		return
	}
	place, ok := a.queries.enter(r.Context(), a.opts.Host(r))
	if !ok {
		w.Header().Set("Retry-After", "1")
		refusal := wire.Errorf(http.StatusTooManyRequests,
			"too many queries at once: %d of a host and %d in all may be open, and wait %v for their turn", hostOpen, maxOpen, queryWait)
		a.opts.Refused(r, ReasonQueries, refusal.Message)
		access.WriteError(w, refusal)
		return
	}
	defer place.leave()
	w.Header().Set("Content-Type", q.format)
	if q.format == formatCSV {
		w.Header().Set("Content-Type", formatCSV+"; charset=utf-8")
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Accept") // beside Origin
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	if a.opts.Lacks != nil && q.step < time.Minute.Milliseconds() {
		if lacks := a.opts.Lacks(q.sensor.ID, q.from, q.to, q.step == 0); lacks != "" {
			w.Header().Set(lacking, lacks)
			w.Header().Set("Access-Control-Expose-Headers", lacking)
		}
	}
	controller := http.NewResponseController(w)
	// A client that takes nothing must not get the rest when its token is revoked.
	defer context.AfterFunc(r.Context(), func() { _ = controller.SetWriteDeadline(time.Now()) })()
	out := bufio.NewWriterSize(&patientWriter{ctx: r.Context(), w: w, c: controller, place: place}, queryBuffer)
	if err := a.answer(r.Context(), out, q, place); err != nil {
		if r.Context().Err() == nil && !errors.Is(err, errLeft) {
			a.opts.Log.Warn("readings could not be read: the answer is cut off", "client", r.RemoteAddr, "sensor", q.sensor.Name, "err", err)
		}
		// The status is sent already: only a broken connection shows that this is not all.
		panic(http.ErrAbortHandler)
	}
}

// errLeft says that a client has left, or seems to have: one that half-closed its
// connection, or may not read on, must see that the answer is not complete.
var errLeft = errors.New("the client has left")

func (a *API) answer(ctx context.Context, out *bufio.Writer, q query, p *place) error {
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
	if err := a.rows(ctx, out, q, p, separator); err != nil {
		if _, left := out.Write(nil); left != nil {
			return errLeft
		}
		return err
	}
	_, _ = out.WriteString(tail)
	if out.Flush() != nil {
		return errLeft
	}
	return nil
}

// rows writes what is retained for the query.
func (a *API) rows(ctx context.Context, out *bufio.Writer, q query, p *place, separator string) error {
	history := a.opts.History
	switch {
	case history == nil:
		return nil
	case q.step > 0:
		encode := wire.AppendBucketJSON
		if q.format == formatCSV {
			encode = q.csv().AppendBucket
		}
		return wire.WriteRows(ctx, out, q.sensor, separator, yielding(ctx, p, history.Buckets(q.sensor.ID, q.from, q.to, q.step)), encode)
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
	return wire.WriteRows(ctx, out, q.sensor, separator, yielding(ctx, p, history.Between(q.sensor.ID, q.from, q.to)), encode)
}

// patientWriter gives a client time for each piece, instead of for the whole answer,
// and the query's place to others meanwhile.
type patientWriter struct {
	ctx   context.Context
	w     io.Writer
	c     *http.ResponseController
	place *place
}

func (p *patientWriter) Write(b []byte) (int, error) {
	p.place.pause()
	if err := p.c.SetWriteDeadline(time.Now().Add(queryWrite)); err != nil {
		return 0, err
	}
	if err := p.ctx.Err(); err != nil { // from now on its end interrupts the write
		return 0, err
	}
	n, err := p.w.Write(b)
	if err == nil {
		p.place.take(p.ctx) // if there is none, the client has left, which WriteRows sees
	}
	return n, err
}

// parseQuery parses the parameters and the format. Its errors are [*wire.Error].
func (a *API) parseQuery(r *http.Request) (q query, err error) {
	bad := func(err error) (query, error) {
		if e, ok := errors.AsType[*wire.Error](err); ok {
			return q, e
		}
		return q, wire.Errorf(http.StatusUnprocessableEntity, "%v", err)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return bad(err)
	}
	for name, of := range values {
		switch {
		case !slices.Contains([]string{"sensor", "from", "to", "step", "format"}, name):
			return bad(fmt.Errorf("unknown parameter %q: there are sensor, from, to, step and format", name))
		case len(of) != 1:
			return bad(fmt.Errorf("%s is given twice", name))
		}
	}
	name := values.Get("sensor")
	if name == "" {
		return bad(errors.New("sensor is missing: its name"))
	}
	i, err := a.index(r, name)
	if err != nil {
		return q, err
	}
	q.sensor, q.to = &a.opts.Sensors[i], time.Now().UnixMilli()
	if of, ok := values["to"]; ok {
		if q.to, err = UnixMilli("to", of); err != nil {
			return bad(err)
		}
	}
	q.from = max(q.to, math.MinInt64+queryTime.Milliseconds()) - queryTime.Milliseconds()
	if of, ok := values["from"]; ok {
		if q.from, err = UnixMilli("from", of); err != nil {
			return bad(err)
		}
	}
	if of, ok := values["step"]; ok {
		if q.step, err = strconv.ParseInt(of[0], 10, 64); err != nil || q.step < 1 {
			return bad(fmt.Errorf("step must be milliseconds, 1 at least, not %q", of[0]))
		}
	}
	if _, ok := values["to"]; !ok {
		q.to = max(q.to, q.from) // a client's clock may be ahead
	}
	if q.from > q.to {
		return bad(fmt.Errorf("from %d is later than to %d", q.from, q.to))
	}
	q.format, err = chooseFormat(values, r.Header, q.step)
	return q, err
}

// chooseFormat returns the format that the address names, as a person can do in a
// browser, or else the one that the client accepts.
func chooseFormat(values url.Values, header http.Header, step int64) (string, error) {
	there := []string{formatJSON, formatCSV, formatBinary}
	if step > 0 {
		there = there[:2]
	}
	format := accepted(header.Values("Accept"), there)
	if names, ok := values["format"]; ok {
		if format, ok = map[string]string{"json": formatJSON, "csv": formatCSV, "binary": formatBinary}[names[0]]; !ok {
			return "", wire.Errorf(http.StatusUnprocessableEntity, "format must be json, csv or binary, not %q", names[0])
		}
	}
	if !slices.Contains(there, format) {
		return "", wire.Errorf(http.StatusNotAcceptable, "there are %s, %s and, without step, %s", formatJSON, formatCSV, formatBinary)
	}
	return format, nil
}

// A number between these is meant in seconds (from 1973 on): nobody asks for such a
// time in milliseconds (from January 1970 to 2001).
const (
	year1973InSeconds = 100_000_000
	year2001          = 978_307_200_000
)

// inSeconds returns the refusal of a time that is meant in seconds, nil if it is
// not. A gateway whose own clock is not set has readings of those times.
func inSeconds(name string, ms int64, now time.Time) error {
	if ms < year1973InSeconds || ms >= year2001 || now.UnixMilli() < year2001 {
		return nil
	}
	return wire.Errorf(http.StatusBadRequest, "milliseconds, please: %s=%d is in %s (if these are seconds, write %[2]d000)",
		name, ms, time.UnixMilli(ms).UTC().Format("January 2006"))
}

// UnixMilli reads the one value of a parameter that is a time. For one that is meant in
// seconds the error has the code 400.
func UnixMilli(name string, values []string) (int64, error) {
	ms, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || len(values) != 1 {
		return 0, fmt.Errorf("%s must be Unix milliseconds, not %q", name, strings.Join(values, ", "))
	}
	return ms, inSeconds(name, ms, time.Now())
}

// accepted returns which of the formats in there the client prefers (RFC 9110, section
// 12.5.1), of equals the one that it names first, "" if it accepts none. An entry for the
// format itself counts before one for its kind, and that before one for all formats.
func accepted(headers, there []string) (format string) {
	best, first := 0.0, 0
	parts := strings.Split(strings.ToLower(strings.Join(headers, ",")), ",")
	for _, f := range there {
		kind, _, _ := strings.Cut(f, "/")
		for _, name := range []string{f, kind + "/*", "*/*", ""} {
			i := slices.IndexFunc(parts, func(part string) bool { return kindOf(part) == name })
			if i < 0 {
				continue
			}
			if weight := weightOf(parts[i]); weight > best || weight == best && weight > 0 && i < first {
				best, first, format = weight, i, f
			}
			break
		}
	}
	return format
}

// kindOf returns what a part of Accept is about.
func kindOf(part string) string {
	kind, _, _ := strings.Cut(part, ";")
	return strings.TrimSpace(kind)
}

// weightOf returns the weight of a part of Accept, from 0 to 1.
func weightOf(part string) float64 {
	for parameter := range strings.SplitSeq(part, ";") {
		if q, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q="); ok {
			weight, err := strconv.ParseFloat(q, 64)
			if err != nil || !(weight <= 1) {
				return 0
			}
			return weight
		}
	}
	return 1
}
