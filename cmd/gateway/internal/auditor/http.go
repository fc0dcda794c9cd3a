package auditor

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// Path is where administrators read the audit log.
const Path = "/api/v1/audit"

// How many records an answer has: each is some 500 bytes.
const (
	usualRecords = 100
	maxRecords   = 10_000
)

// Records answers administrators with the newest records of a state directory. Who is an
// administrator is checked before.
type Records struct {
	State string // "": nothing is recorded
	Log   *slog.Logger

	reads sync.Mutex // the whole log is read for an answer: one at a time
}

// ServeHTTP answers GET /api/v1/audit?since=MS&limit=N.
func (h *Records) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, err := parseQuery(r)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		access.WriteError(w, wire.Errorf(http.StatusMethodNotAllowed, "Only GET here"))
		return
	case h.State == "":
		access.WriteError(w, wire.Errorf(http.StatusNotFound, "nothing is recorded without a state directory"))
		return
	case err != nil:
		access.WriteError(w, wire.Errorf(http.StatusUnprocessableEntity, "%v", err))
		return
	case !h.reads.TryLock():
		w.Header().Set("Retry-After", "1")
		access.WriteError(w, wire.Errorf(http.StatusServiceUnavailable, "another request is reading the audit log: try again in a second"))
		return
	}
	defer h.reads.Unlock()
	dir, key, _ := Files(h.State)
	records, err := audit.Read(dir, key, query)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // there is no record yet
		h.Log.Error("the audit log cannot be read", "err", err)
		access.WriteError(w, wire.Errorf(http.StatusInternalServerError, "the audit log cannot be read: the gateway's log says why"))
		return
	}
	if records == nil {
		records = []audit.Record{}
	}
	access.WriteJSON(w, http.StatusOK, map[string]any{"records": records})
}

func parseQuery(r *http.Request) (q audit.Query, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, err
	}
	q.Limit = usualRecords
	for name, all := range values {
		n, err := strconv.ParseInt(all[0], 10, 64)
		switch {
		case err != nil || len(all) > 1 || n < 0:
			return q, fmt.Errorf("%s: it is one number", name)
		case name == "since":
			q.Since = n
		case name == "limit" && n >= 1 && n <= maxRecords:
			q.Limit = int(n)
		default:
			return q, fmt.Errorf("%s=%d: there are since, in Unix milliseconds, and limit, 1 to %d", name, n, maxRecords)
		}
	}
	return q, nil
}
