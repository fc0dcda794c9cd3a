package api

import (
	"net/http"
	"time"
)

// DropBody ends the connection of a request with a body after the answer, without waiting
// for the body. It is for requests that need none: only the pages by which clients log in
// need one. net/http would read up to 256 KiB of it, before and after the answer.
func DropBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	w.Header().Set("Connection", "close")
	// A byte over the limit, if it has come already, is enough for net/http to let the
	// answer arrive before it closes a connection on which more is coming.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now())
	if r.Header.Get("Expect") == "" { // with it, reading would ask for the body
		_, _ = http.MaxBytesReader(w, r.Body, 0).Read(make([]byte, 1))
	}
	r.Body = http.NoBody
}
