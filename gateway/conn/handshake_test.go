package conn

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestKey holds that a handshake without a good key is answered with what is wrong with it.
func TestKey(t *testing.T) {
	for key, want := range map[string]string{
		"dGhlIHNhbXBsZSBub25jZQ==": "", "": "Sec-WebSocket-Key is not 16 bytes in base64", "dGhl": "Sec-WebSocket-Key is not 16 bytes in base64",
		"dGhlIHNhbXBsZSBub25jZQ": "Sec-WebSocket-Key is not 16 bytes in base64",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = http.Header{"Sec-Websocket-Key": {key}, "Sec-Websocket-Version": {"13"}}
		if _, reason := Check(httptest.NewRecorder(), r); reason != want {
			t.Errorf("%q: %q, want %q", key, reason, want)
		}
	}
}
