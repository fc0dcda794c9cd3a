package config

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"testing"
)

var fixForm = regexp.MustCompile(`(?:hosts|origins): \[".*?"\]|url: "[^"]*"|proxies: \[\{.*?\}\]`)

// follow checks a request, writes the first line that its refusal names into the
// file, and so on, until it is let in. It returns the refusals.
func follow(t *testing.T, hostHeader string, header http.Header) (refusals []string) {
	t.Helper()
	r := (&http.Request{Host: hostHeader, Header: header, RemoteAddr: "127.0.0.1:50000"}).WithContext(
		context.WithValue(context.Background(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8765})))
	file := oneSensor
	for range 3 {
		c, err := parse(t, file)
		if err != nil {
			t.Fatalf("host %q, %q: what the refusals %q name is refused: %v", hostHeader, header, refusals, err)
		}
		_, err = c.Policy(false).Check(r)
		if err == nil {
			return refusals
		}
		refusals = append(refusals, err.Error())
		line := fixForm.FindString(err.Error())
		if line == "" {
			return refusals
		}
		file += line + "\n"
	}
	t.Errorf("host %q, %q: not let in by what the refusals name: %q", hostHeader, header, refusals)
	return refusals
}

// The line that a refusal names is one that the configuration takes, and it helps.
func TestRefusalsNameWhatHelps(t *testing.T) {
	const host = "127.0.0.1:8765"
	for _, origin := range []string{
		"file://", "ws://" + host, "wss://gw.example:99", "capacitor://localhost", "https://localhost", "ionic://localhost", "null", "",
		"chrome-extension://abcdefghijklmnop", "vscode-webview://x", "app://obsidian.md", "http://" + host + "/", host, "HTTP://Panel.example:80",
		"http://gw_1", "https://[fe80::1]:8443", "tauri://localhost", "https://" + host, "com.example.app",
	} {
		if refusals := follow(t, host, http.Header{"Origin": {origin}}); len(refusals) != 1 {
			t.Errorf("origin %q: refused with %q, want one refusal that helps", origin, refusals)
		}
	}
	for _, hostHeader := range []string{"gw.example", "gw_1:80", "10.0.0.7:8765", "[fd00::7]:8765", "GW.example."} {
		if refusals := follow(t, hostHeader, http.Header{"Origin": {"http://" + hostHeader}}); len(refusals) != 1 {
			t.Errorf("host %q: refused with %q, want one refusal that helps", hostHeader, refusals)
		}
	}
	https := http.Header{"Origin": {"https://gw.example"}, "X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Proto": {"https"}}
	if refusals := follow(t, "gw.example", https); len(refusals) != 2 { // hosts:, then proxies:
		t.Errorf("behind a proxy with TLS: %q", refusals)
	}
	for _, origin := range []string{"*", "https://*.example", "http://a b", "http://gw\"]\nhosts: [\"x", "http://\u2028", "x://y/\x00"} {
		refusals := follow(t, host, http.Header{"Origin": {origin}})
		if len(refusals) != 1 || fixForm.MatchString(refusals[0]) {
			t.Errorf("origin %q: %q, want no line", origin, refusals)
		}
	}
}

// Whatever a client sends: what its refusal names helps, and is one line.
func FuzzRefusal(f *testing.F) {
	f.Add("gw.example", "file://", "192.0.2.7", "https")
	f.Add("[::1]:1", "http://x\\\"y/", "", "")
	f.Fuzz(func(t *testing.T, hostHeader, origin, from, proto string) {
		header := http.Header{"Origin": {origin}}
		if from != "" {
			header.Set("X-Forwarded-For", from)
			header.Set("X-Forwarded-Proto", proto)
		}
		for _, refusal := range follow(t, hostHeader, header) {
			if regexp.MustCompile(`[^\x20-\x7e]`).MatchString(refusal) {
				t.Errorf("%s", fmt.Sprintf("a line that is not: %q", refusal))
			}
		}
	})
}
