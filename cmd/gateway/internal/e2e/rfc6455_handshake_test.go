package e2e

import (
	"strings"
	"testing"
)

// handshakes are the cases of section 4.
func handshakes(t *testing.T, address string) int {
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	cases := []struct {
		name, from, to string
		status         int
	}{
		{"as in the RFC", "", "", 101},
		{"header names in lower case", "Upgrade: websocket", "upgrade: websocket", 101},
		{"Upgrade in another case", "Upgrade: websocket", "Upgrade: WebSocket", 101},
		{"Connection with more tokens", "Connection: Upgrade", "Connection: keep-alive, Upgrade", 101},
		{"Connection in lower case", "Connection: Upgrade", "Connection: upgrade", 101},
		{"unknown subprotocol", key, key + "\r\nSec-WebSocket-Protocol: mqtt", 101},
		{"unknown headers", key, key + "\r\nX-Whatever: 1", 101},
		{"Host by name", "HOST", "localhost", 101},
		{"Host with a forwarded port", "HOST", "localhost:1234", 101},
		{"our own Origin", key, key + "\r\nOrigin: http://HOST", 101},
		{"a query", "PATH", "/?x=1", 101},
		{"no Upgrade", "Upgrade: websocket", "X: y", 200},
		{"Upgrade to something else", "Upgrade: websocket", "Upgrade: h2c", 200},
		{"no Connection", "Connection: Upgrade", "X: y", 200},
		{"no key", key, "X: y", 400},
		{"empty key", key, "Sec-WebSocket-Key:", 400},
		{"short key", key, "Sec-WebSocket-Key: dGhl", 400},
		{"key that is not base64", key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!!!", 400},
		{"two keys", key, key + "\r\n" + key, 400},
		{"two versions", key, key + "\r\nSec-WebSocket-Version: 8", 400},
		{"no version", "Sec-WebSocket-Version: 13", "X: y", 400},
		{"version 8", "Version: 13", "Version: 8", 426},
		{"version 14", "Version: 13", "Version: 14", 426},
		{"version of nonsense", "Version: 13", "Version: thirteen", 426},
		{"POST", "GET", "POST", 405},
		{"HEAD", "GET", "HEAD", 405},
		{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", 505},
		{"no Host", "Host: HOST\r\n", "", 400},
		{"another Host", "HOST", "evil.example", 403},
		{"another Origin", key, key + "\r\nOrigin: http://evil.example", 403},
		{"Origin null", key, key + "\r\nOrigin: null", 403},
		{"Origin with https", key, key + "\r\nOrigin: https://HOST", 403},
		{"two Origins", key, key + "\r\nOrigin: http://HOST\r\nOrigin: http://HOST", 403},
		{"headers beyond measure", key, key + "\r\nX: " + strings.Repeat("x", 16<<10), 431},
	}
	for _, tt := range cases {
		t.Run("4 "+tt.name, func(t *testing.T) {
			request := strings.Replace(wsHandshake, tt.from, tt.to, 1)
			c, res, err := wsSay(address, strings.NewReplacer("PATH", "/", "HOST", address).Replace(request))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if res.StatusCode != tt.status {
				t.Errorf("%s, want %d", res.Status, tt.status)
			}
			if tt.status == 101 && res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("accept %q", res.Header.Get("Sec-WebSocket-Accept"))
			}
			if tt.status == 426 && res.Header.Get("Sec-WebSocket-Version") != "13" {
				t.Error("it does not say which version it speaks (section 4.4)")
			}
		})
	}
	for _, extension := range []string{"permessage-deflate", "permessage-deflate; client_max_window_bits", "x-webkit-deflate-frame", "foo, bar; baz=1"} {
		t.Run("9 "+extension, func(t *testing.T) {
			request := strings.Replace(wsHandshake, key, key+"\r\nSec-WebSocket-Extensions: "+extension, 1)
			c, res, err := wsSay(address, strings.NewReplacer("PATH", "/", "HOST", address).Replace(request))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Extensions") != "" {
				t.Errorf("%s, extensions %q", res.Status, res.Header.Get("Sec-WebSocket-Extensions"))
			}
		})
	}
	return len(cases) + 4
}
