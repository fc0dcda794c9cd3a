package access

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// request is one as the HTTP server hands it on, reached at the address local.
func request(local, hostHeader string, header ...string) *http.Request {
	addr, err := net.ResolveTCPAddr("tcp", local)
	if err != nil {
		panic(err)
	}
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, net.Addr(addr))
	r := (&http.Request{Host: hostHeader, Header: http.Header{}, RemoteAddr: "192.168.1.20:50000"}).WithContext(ctx)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

const (
	loop4 = "127.0.0.1:8765"
	loop6 = "[::1]:8765"
	lan4  = "192.168.1.7:8765"
	mixed = "[::ffff:192.168.1.7]:8765"
	lan6  = "[2001:db8::7]:8765"
	link6 = "[fe80::7%lo]:8765"
)

func TestHost(t *testing.T) {
	for _, tt := range []struct {
		local, host string
		ok          bool
	}{
		{loop4, "localhost:8765", true},
		{loop4, "localhost", true},
		{loop4, "LocalHost.:2222", true}, // a tunnel
		{loop4, "127.0.0.1:8765", true},
		{loop4, "127.0.0.1.:8765", true},
		{loop4, "127.8.9.1", true},
		{loop4, "[::1]:8765", true},
		{loop6, "[::1]", true},
		{loop6, "[0:0::1]:8765", true},
		{loop6, "[::1%lo]", true},
		{loop6, "127.0.0.1", true},
		{loop4, "[::ffff:127.0.0.1]:8765", true},
		{loop4, "[::ffff:7f00:1]:8765", true},
		{loop4, "192.168.1.7:8765", false},
		{loop4, "0.0.0.0:8765", false},
		{loop4, "[::]:8765", false},

		{lan4, "192.168.1.7:8765", true},
		{lan4, "192.168.1.7", true},
		{lan4, "[::ffff:192.168.1.7]", true},
		{mixed, "192.168.1.7:80", true},
		{lan4, "192.168.1.8:8765", false},
		{lan4, "127.0.0.1:8765", false},
		{lan4, "localhost:8765", false},
		{lan4, "[::1]:8765", false},
		{lan6, "[2001:DB8::7]:8765", true},
		{lan6, "[2001:db8:0:0::7]", true},
		{lan6, "[2001:db8::8]", false},
		{link6, "[fe80::7]", true},
		{link6, "[fe80::7%25wlan0]:8765", true},
		{link6, "[fe80::7%wlan0]:8765", true},
		{link6, "[fe80::8%wlan0]:8765", false},

		{lan4, "gw.example", true},
		{loop4, "gw.example:443", true}, // a proxy on this machine
		{lan4, "GW.Example.:8765", true},
		{lan4, "10.0.0.7", true},
		{lan4, "[fd00::7]:8765", true},
		{lan4, "gw.example.evil", false},
		{lan4, "evil.gw.example", false},
		{lan4, "gw.example.evil:8765", false},
		{loop4, "evil.example:8765", false}, // rebound to our address
		{lan4, "example", false},
		{loop4, "localhost.evil.example", false},
		{loop4, "127.0.0.1.evil.example", false},
		{loop4, "127.1", false},
		{loop4, "0x7f.0.0.1", false},
		{loop4, "2130706433", false},
		{loop4, "127.000.000.001", false},

		{loop4, "", false},
		{loop4, ":8765", false},
		{loop4, ".", false},
		{loop4, "localhost..", false},
		{loop4, "localhost:", false},
		{loop4, "localhost:x", false},
		{loop4, "localhost:-1", false},
		{loop4, "localhost:65536", false},
		{loop4, "localhost:80:80", false},
		{loop4, "localhost, localhost", false},
		{loop4, "localhost localhost", false},
		{loop4, "user@localhost", false},
		{loop4, "http://localhost", false},
		{loop4, "localhost/", false},
		{loop4, "localhost\x00", false},
		{loop4, "lo\u0441alhost", false}, // Cyrillic
		{loop4, "::1", false},
		{loop4, "[::1", false},
		{loop4, "::1]", false},
		{loop4, "[::1]8765", false},
		{loop4, "[::1]]", false},
		{loop4, "[127.0.0.1]", false},
		{loop4, "[127.0.0.1:80]", false},
		{loop4, "[[::1]:80]", false},
		{loop4, "[localhost]", false},
		{loop4, "[]", false},
		{loop4, strings.Repeat("a.", 200) + "example", false},
		{loop4, strings.Repeat("a", 5000), false},
	} {
		p := &Policy{Hosts: []string{"gw.example", "10.0.0.7", "fd00::7"}}
		_, err := p.Check(request(tt.local, tt.host))
		if (err == nil) != tt.ok {
			t.Errorf("host %.60q at %s: %v", tt.host, tt.local, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "; fix: ") || len(err.Error()) > 500) {
			t.Errorf("host %.60q: the error has no fix, or no end: %v", tt.host, err)
		}
	}
	_, err := (&Policy{}).Check(request(lan4, "Evil.Example:80"))
	if want := `host "evil.example" is not one of ours; fix: add it to hosts: in the configuration, hosts: ["evil.example"]`; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestHostOfUnknownConnection(t *testing.T) {
	r := request(loop4, "localhost")
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "/run/gateway", Net: "unix"})))
	for _, r := range []*http.Request{r, r.WithContext(context.Background())} {
		p := &Policy{Hosts: []string{"gw.example"}, Commands: LocalCommands}
		if _, err := p.Check(r); err == nil {
			t.Error("localhost is ours on a connection that may come from anywhere")
		}
		r.Host = "gw.example"
		if _, err := p.Check(r); err != nil {
			t.Error(err)
		}
		if p.MayCommand(&http.Request{RemoteAddr: "@", Header: http.Header{}}) == nil {
			t.Error("who comes from no address commands")
		}
	}
}

func TestMachineNames(t *testing.T) {
	for _, tt := range []struct {
		hostname string
		want     []string
	}{
		{"raspberrypi", []string{"raspberrypi", "raspberrypi.local"}},
		{"Greenhouse_2", []string{"greenhouse_2", "greenhouse_2.local"}},
		{"pi.local", []string{"pi", "pi.local"}},
		{"pi.fritz.box.", []string{"pi", "pi.local", "pi.fritz.box"}},
		{"localhost", nil},
		{"localhost.localdomain", nil},
		{"", nil},
		{"(none)", nil},
		{"192.168.1.7", nil},
	} {
		if got := machineNames(tt.hostname); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.hostname, got, tt.want)
		}
	}
	p := &Policy{}
	for _, name := range MachineNames() {
		for _, local := range []string{loop4, lan4, lan6} {
			for _, h := range []string{name, strings.ToUpper(name) + ".:8765"} {
				if _, err := p.Check(request(local, h)); err != nil {
					t.Errorf("%s at %s: %v", h, local, err)
				}
			}
			if _, err := p.Check(request(local, name+".evil.example")); err == nil {
				t.Errorf("%s.evil.example is ours", name)
			}
		}
	}
}

func TestOrigin(t *testing.T) {
	const https = "https" // in place of nothing: the connection is TLS
	for _, tt := range []struct {
		tls, host string
		origins   []string
		ok        bool
	}{
		{"", "gw.example:8765", nil, true},
		{"", "gw.example:8765", []string{"http://gw.example:8765"}, true},
		{"", "GW.example:8765", []string{"http://gw.example:8765"}, true},
		{"", "gw.example", []string{"http://gw.example"}, true},
		{"", "gw.example:80", []string{"http://gw.example"}, true},
		{"", "gw.example", []string{"http://gw.example:80"}, true},
		{"", "[::1]", []string{"http://[::1]"}, true},
		{"", "[::1]:80", []string{"http://[::1]"}, true},
		{"", "[::1]:8765", []string{"http://[::1]:8765"}, true},
		{"", "localhost:2222", []string{"http://localhost:2222"}, true},
		{https, "gw.example:8443", []string{"https://gw.example:8443"}, true},
		{https, "gw.example", []string{"https://gw.example"}, true},
		{https, "gw.example:443", []string{"https://gw.example"}, true},
		{"", "gw.example:8765", []string{"https://panel.example"}, true},
		{https, "gw.example:8443", []string{"http://localhost:3000"}, true},

		{"", "gw.example:8765", []string{"null"}, false},
		{"", "gw.example:8765", []string{""}, false},
		{"", "gw.example:8765", []string{"http://evil.example:8765"}, false},
		{"", "gw.example:8765", []string{"http://gw.example"}, false},
		{"", "gw.example:8765", []string{"http://gw.example:8766"}, false},
		{"", "gw.example", []string{"http://gw.example:443"}, false},
		{"", "gw.example:443", []string{"http://gw.example"}, false},
		{"", "gw.example:8765", []string{"https://gw.example:8765"}, false},
		{https, "gw.example:8443", []string{"http://gw.example:8443"}, false},
		{https, "gw.example:80", []string{"https://gw.example"}, false},
		{"", "gw.example:8765", []string{"ws://gw.example:8765"}, false},
		{"", "gw.example:8765", []string{"gw.example:8765"}, false},
		{"", "gw.example:8765", []string{"http:gw.example:8765"}, false},
		{"", "gw.example:8765", []string{"http://gw.example:8765/"}, false},
		{"", "gw.example:8765", []string{"http://gw.example:8765 "}, false},
		{"", "gw.example:8765", []string{"http://user@gw.example:8765"}, false},
		{"", "gw.example:8765", []string{"http://gw.example.evil:8765"}, false},
		{"", "gw.example:8765", []string{"http://evil.gw.example:8765"}, false},
		{"", "gw.example:8765", []string{"http://gw.example:8765", "http://gw.example:8765"}, false},
		{"", "gw.example:8765", []string{"http://gw.example:8765", "http://evil.example"}, false},
		{"", "gw.example:8765", []string{"http://gw.example:8765, http://gw.example:8765"}, false},
		{"", "gw.example:8765", []string{"http://gw.example:8765 http://evil.example"}, false},
		{"", "gw.example:8765", []string{"https://panel.example.evil"}, false},
		{"", "gw.example:8765", []string{"http://panel.example"}, false},
		{"", "gw.example:8765", []string{"https://panel.example:444"}, false},
		{"", "127.0.0.1:8765", []string{"http://localhost:8765"}, false},
		{"", "localhost:8765", []string{"file://"}, false},
		// DNS rebinding: the page and the request agree, and both are strangers.
		{"", "evil.example:8765", []string{"http://evil.example:8765"}, false},
		{"", "evil.example", []string{"https://panel.example"}, false},
	} {
		p := &Policy{Hosts: []string{"gw.example"}, Origins: []string{"https://panel.example", "http://localhost:3000"}}
		r := request(loop4, tt.host)
		if tt.tls != "" {
			r.TLS = &tls.ConnectionState{}
		}
		for _, o := range tt.origins {
			r.Header.Add("Origin", o)
		}
		_, err := p.Check(r)
		if (err == nil) != tt.ok {
			t.Errorf("%s host %s, origins %q: %v", tt.tls, tt.host, tt.origins, err)
		}
		if err != nil && !strings.Contains(err.Error(), "; fix: ") {
			t.Errorf("origins %q: the error has no fix: %v", tt.origins, err)
		}
	}
}

func TestMayCommand(t *testing.T) {
	for _, tt := range []struct {
		from   string
		header []string
		ok     bool
	}{
		{"127.0.0.1:50000", nil, true},
		{"127.9.9.9:50000", nil, true},
		{"[::1]:50000", nil, true},
		{"[::ffff:127.0.0.1]:50000", nil, true},
		{"127.0.0.1:50000", []string{"User-Agent", "x", "X-Requested-With", "y"}, true},
		{"192.168.1.20:50000", nil, false},
		{"[2001:db8::20]:50000", nil, false},
		{"[fe80::20%lo]:50000", nil, false},
		{"[::ffff:192.168.1.20]:50000", nil, false},
		{"127.0.0.1", nil, false}, // no address of a TCP connection
		{"localhost:50000", nil, false},
		{"@", nil, false},
		{"", nil, false},
		{"127.0.0.1:50000", []string{"Forwarded", "for=127.0.0.1"}, false},
		{"127.0.0.1:50000", []string{"x-forwarded-for", "127.0.0.1"}, false},
		{"127.0.0.1:50000", []string{"X-Forwarded-For", ""}, false},
		{"127.0.0.1:50000", []string{"X-Forwarded-Host", "gw.example"}, false},
		{"127.0.0.1:50000", []string{"X-Real-IP", "127.0.0.1"}, false},
		{"[::1]:50000", []string{"Via", "1.1 proxy"}, false},
	} {
		r := request(loop4, "localhost", tt.header...)
		r.RemoteAddr = tt.from
		if err := (&Policy{Commands: LocalCommands}).MayCommand(r); (err == nil) != tt.ok {
			t.Errorf("from %q with %q: %v", tt.from, tt.header, err)
		}
		if err := (&Policy{Commands: AnybodyCommands}).MayCommand(r); err != nil {
			t.Errorf("from %q with %q, although anybody may: %v", tt.from, tt.header, err)
		}
		if (&Policy{}).MayCommand(r) == nil {
			t.Errorf("from %q with %q: may, although nobody may", tt.from, tt.header)
		}
	}
}

// What reaches the policy through net/http, byte by byte.
func TestBehindTheServer(t *testing.T) {
	p := &Policy{Commands: LocalCommands}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := p.Check(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		} else if p.MayCommand(r) != nil {
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer s.Close()
	own := s.Listener.Addr().String()
	for _, tt := range []struct {
		request string
		status  int
	}{
		{"GET / HTTP/1.1\r\nHost: " + own, 200},
		{"GET / HTTP/1.1\r\nHost: localhost", 200},
		{"GET / HTTP/1.1\r\nHost: localhost\r\nvia: 1.0 x", 202},
		{"GET / HTTP/1.1\r\nHost: localhost\r\norigin: http://localhost\r\nORIGIN: http://localhost", 403},
		{"GET / HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example", 403},
		{"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost", 400},
		{"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example", 400},
		{"GET / HTTP/1.1\r\nHost:", 403},
		{"GET / HTTP/1.1\r\nX: y", 400},
		{"GET / HTTP/1.0\r\nX: y", 403},
		{"GET http://evil.example/ HTTP/1.1\r\nHost: localhost", 403}, // RFC 9112, section 3.2.2: the target counts
	} {
		c, err := net.Dial("tcp", own)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, tt.request+"\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != tt.status {
			t.Errorf("%q: %v, %v; want %d", tt.request, answer, err, tt.status)
		}
		c.Close()
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"localhost:1", "[::1%25lo]:1", "[127.0.0.1:80]", "a..b", "gw.example.", "::ffff:127.0.0.1"} {
		f.Add(seed, "http://"+seed)
	}
	f.Fuzz(func(t *testing.T, hostHeader, origin string) {
		p := &Policy{Hosts: []string{"gw.example"}}
		if _, err := p.Check(request(lan4, hostHeader, "Origin", origin)); err != nil {
			return
		}
		// What is let in is one of a few names, and the origin is that of the request.
		h, ok := parseHost(hostHeader)
		if !ok || !slices.Contains(append(MachineNames(), "gw.example", "192.168.1.7"), h.String()) {
			t.Errorf("host %q passed", hostHeader)
		}
		if !strings.HasPrefix(origin, "http://") || strings.ContainsAny(origin[len("http://"):], "/@ ,") {
			t.Errorf("origin %q passed for host %q", origin, hostHeader)
		}
		if u := fmt.Sprintf("http://%s", strings.ToLower(hostHeader)); strings.TrimSuffix(u, ":80") != strings.TrimSuffix(strings.ToLower(origin), ":80") {
			t.Errorf("origin %q passed for host %q", origin, hostHeader)
		}
	})
}
