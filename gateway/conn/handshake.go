package conn

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/websocket"
)

// Check returns the status and the reason if a request is no valid handshake for
// [Upgrade] (RFC 6455, section 4.2.1), 0 if it is one. It sets the fields of the header
// that go with the status.
func Check(w http.ResponseWriter, r *http.Request) (status int, reason string) {
	switch {
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		status, reason = http.StatusHTTPVersionNotSupported, "WebSocket needs HTTP/1.1"
	case r.Method != http.MethodGet:
		status, reason = http.StatusMethodNotAllowed, "WebSocket needs GET"
		w.Header().Set("Allow", "GET") // RFC 9110, section 15.5.6
	case r.ContentLength != 0:
		status, reason = http.StatusBadRequest, "a handshake has no body"
	case len(r.Header.Values("Sec-WebSocket-Key")) != 1 || len(r.Header.Values("Sec-WebSocket-Version")) != 1:
		status, reason = http.StatusBadRequest, "a handshake has exactly one Sec-WebSocket-Key and one Sec-WebSocket-Version"
	case !isKey(r.Header.Get("Sec-WebSocket-Key")):
		status, reason = http.StatusBadRequest, "Sec-WebSocket-Key is not 16 bytes in base64"
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		status, reason = http.StatusUpgradeRequired, "unsupported WebSocket version: use 13"
	}
	if status != 0 {
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	return status, reason
}

// isKey returns whether a client's key is one (RFC 6455, section 4.1).
func isKey(text string) bool {
	key, err := base64.StdEncoding.DecodeString(text)
	return err == nil && len(key) == 16
}

// IsUpgrade returns whether a request wants to become a WebSocket.
func IsUpgrade(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// Protocol returns the first subprotocol of the client's list that is known, "" if none is.
func Protocol(r *http.Request, known ...string) string {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); slices.Contains(known, p) {
				return p
			}
		}
	}
	return ""
}
