package access

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func proxies(header string, from ...string) (all []Proxy) {
	for _, f := range from {
		all = append(all, Proxy{netip.MustParsePrefix(f), header})
	}
	return all
}

// Where a request comes from, through the proxies that are listed.
func TestFrom(t *testing.T) {
	const proxy = "10.0.0.1:50000"
	for _, tt := range []struct {
		header string
		sent   []string
		want   string
	}{
		{"X-Forwarded-For", []string{"192.0.2.7"}, "192.0.2.7"},
		{"X-Forwarded-For", []string{"192.0.2.7:4711"}, "192.0.2.7:4711"},
		{"X-Forwarded-For", []string{" 203.0.113.9 ,\t192.0.2.7 "}, "192.0.2.7"},
		{"X-Forwarded-For", []string{"203.0.113.9, 192.0.2.7, 10.0.0.2"}, "192.0.2.7"},
		{"X-Forwarded-For", []string{"203.0.113.9", "192.0.2.7"}, "192.0.2.7"},
		{"X-Forwarded-For", []string{"192.0.2.7", "10.0.0.2", "10.0.0.3"}, "192.0.2.7"},
		{"X-Forwarded-For", []string{"2001:db8::7"}, "2001:db8::7"},
		{"X-Forwarded-For", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"X-Forwarded-For", []string{"[2001:db8::7]:4711"}, "[2001:db8::7]:4711"},
		{"X-Forwarded-For", []string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		{"X-Forwarded-For", []string{"garbage\", 192.0.2.7"}, "192.0.2.7"},
		{"X-Forwarded-For", []string{"127.0.0.1"}, "127.0.0.1"},
		{"X-Forwarded-For", []string{"10.0.0.4, 10.0.0.2"}, "10.0.0.4"}, // a client among the proxies
		{"X-Forwarded-For", nil, ""},
		{"X-Forwarded-For", []string{""}, ""},
		{"X-Forwarded-For", []string{"192.0.2.7,"}, ""},
		{"X-Forwarded-For", []string{"192.0.2.7, unknown"}, ""},
		{"X-Forwarded-For", []string{"192.0.2.7, _hidden"}, ""},
		{"X-Forwarded-For", []string{"192.0.2.7, 192.0.2.777"}, ""},
		{"X-Forwarded-For", []string{"192.0.2.7 10.0.0.2"}, ""},
		{"X-Forwarded-For", []string{"192.0.2.7:http"}, ""},
		{"X-Forwarded-For", []string{"[192.0.2.7]"}, ""},
		{"X-Forwarded-For", []string{"[2001:db8::7"}, ""},
		{"X-Forwarded-For", []string{"fe80::1%a\x1b[2J"}, ""},
		{"X-Forwarded-For", []string{"for=192.0.2.7"}, ""},

		{"Forwarded", []string{"for=192.0.2.7"}, "192.0.2.7"},
		{"Forwarded", []string{`For="192.0.2.7:4711";Proto=http;by=10.0.0.1`}, "192.0.2.7:4711"},
		{"Forwarded", []string{`for="[2001:db8:cafe::17]:4711"`}, "[2001:db8:cafe::17]:4711"},
		{"Forwarded", []string{`for="[2001:db8:cafe::17]"`}, "2001:db8:cafe::17"},
		{"Forwarded", []string{`for="192.0.2.7:_port"`}, "192.0.2.7"},
		{"Forwarded", []string{`for="192.0.2.\7"`}, "192.0.2.7"},
		{"Forwarded", []string{"for=203.0.113.9, for=192.0.2.7;proto=https, for=10.0.0.2"}, "192.0.2.7"},
		{"Forwarded", []string{"for=203.0.113.9;x=\",\"", "for=192.0.2.7"}, "192.0.2.7"},
		{"Forwarded", []string{"for=garbage=", "for=192.0.2.7"}, "192.0.2.7"},
		{"Forwarded", []string{",, for=192.0.2.7 ,"}, "192.0.2.7"},
		{"Forwarded", []string{";for=192.0.2.7;"}, "192.0.2.7"},
		{"Forwarded", []string{"for=unknown"}, ""},
		{"Forwarded", []string{"for=_gazonk"}, ""},
		{"Forwarded", []string{"for=192.0.2.7, for=_gazonk"}, ""},
		{"Forwarded", []string{"for=192.0.2.7, proto=https"}, ""},
		{"Forwarded", []string{"for=192.0.2.7;for=192.0.2.8"}, ""},
		{"Forwarded", []string{"for=192.0.2.7;FOR=192.0.2.8"}, ""},
		{"Forwarded", []string{"for=192.0.2.7:4711"}, ""}, // a colon needs quotes
		{"Forwarded", []string{`for="2001:db8::7"`}, ""},  // and IPv6 brackets
		{"Forwarded", []string{`for="192.0.2.7:port"`}, ""},
		{"Forwarded", []string{`for="192.0.2.7`}, ""},
		{"Forwarded", []string{`for="192.0.2.7\`}, ""},
		{"Forwarded", []string{`for="x, for=192.0.2.7`}, ""}, // hides what the proxy adds
		{"Forwarded", []string{`for = 192.0.2.7`}, ""},
		{"Forwarded", []string{`for=`}, ""},
		{"Forwarded", []string{`=192.0.2.7`}, ""},
		{"Forwarded", []string{"192.0.2.7"}, ""},
		{"Forwarded", []string{"for=\"192.0.2.7\x01\""}, ""},
	} {
		r := request(lan4, "gw.example")
		r.RemoteAddr = proxy
		r.Header[tt.header] = tt.sent
		p := &Policy{Proxies: proxies(tt.header, "10.0.0.0/8"), Commands: LocalCommands}
		addr, name := p.From(r)
		want := tt.want
		if want == "" {
			want = "unknown, through " + proxy
		}
		if name != want || !addr.IsValid() || tt.want == "" && addr.String() != "10.0.0.1" {
			t.Errorf("%s: %q: from %q (%s), want %q", tt.header, tt.sent, name, addr, want)
		}
		if p.MayCommand(r) == nil {
			t.Errorf("%s: %q: may command", tt.header, tt.sent)
		}
		r.RemoteAddr = "192.0.2.99:50000" // no proxy that is listed
		if addr, name := p.From(r); name != r.RemoteAddr || addr.String() != "192.0.2.99" {
			t.Errorf("%s: %q: a stranger says that it is %q", tt.header, tt.sent, name)
		}
	}
}

// A client of a listed proxy is never local, whatever its proxy says or leaves out.
func TestProxiedIsNeverLocal(t *testing.T) {
	p := &Policy{Proxies: proxies("X-Forwarded-For", "127.0.0.1/32"), Commands: LocalCommands}
	r := request(loop4, "localhost")
	r.RemoteAddr = "127.0.0.1:50000"
	for _, sent := range [][]string{nil, {"127.0.0.1"}, {"::1"}} {
		r.Header["X-Forwarded-For"] = sent
		if p.MayCommand(r) == nil {
			t.Errorf("%q may command", sent)
		}
	}
	delete(r.Header, "X-Forwarded-For")
	r.RemoteAddr = "[::1]:50000"
	if err := p.MayCommand(r); err != nil {
		t.Errorf("a program on this machine: %v", err)
	}
}

// Any header of the kind that proxies add makes a client remote.
func TestForwardedBy(t *testing.T) {
	for _, name := range []string{
		"Forwarded", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server",
		"X-Forwarded-Prefix", "X_Forwarded_For", "Forwarded-For", "X-Original-Forwarded-For", "X-Original-URL", "X-Original-Host", "X-Real-IP",
		"X-RealIP", "CF-Connecting-IP", "CF-Connecting-IPv6", "CF-Ray", "CF-Visitor", "True-Client-IP", "X-Client-IP", "Client-IP", "X-Cluster-Client-IP",
		"Fastly-Client-IP", "Fly-Client-IP", "X-ProxyUser-Ip", "X-Azure-ClientIP", "X-Azure-SocketIP", "X-Appengine-User-IP", "X-Envoy-External-Address",
		"X-Remote-IP", "X-Remote-Addr", "X-Originating-IP", "Via", "via", "CDN-Loop", "Proxy-Connection", "WL-Proxy-Client-IP", "X-Ingress-Path",
		"X-Via", "X-BlueCoat-Via", "Remote-User", "X-Remote-Port", "X-Client-Cert", "SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL", "X-Https",
		"Front-End-SSL", "X-Real-Port", "X-Real-Proto", "X-Rewrite-URL", "X-HTTP-Host-Override", "X-External-Address", "X-Coming-From",
		"CloudFront-Viewer-Address", "CDN-Src-Ip", "X-Edge-Connect-Cache", "Surrogate-Capability", "X-Served-By", "X-Request-Start",
		"X-Traefik-Router", "X-Accel-Internal", "X-Hass-Source", "X-WEBAUTH-USER", "X-Auth-Request-User", "X-Cloudflare", "X-Server-Name",
		"X-Client-Address", "X-Client-Port", "X-Sucuri-Country",
		"X-Amzn-Trace-Id", "X-Amz-Cf-Id", "X-ARR-SSL", "Front-End-Https", "X-Url-Scheme", "X-Scheme", "X-Host", "Max-Forwards", "Tailscale-User-Login",
	} {
		r := request(loop4, "localhost", name, "")
		r.RemoteAddr = "127.0.0.1:50000"
		if err := (&Policy{Commands: LocalCommands}).MayCommand(r); err == nil {
			t.Errorf("with %s it may command", name)
		}
	}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Connection", "Cookie", "DNT", "If-None-Match", "Origin",
		"Pragma", "Priority", "Range", "Referer", "Sec-CH-UA", "Sec-Fetch-Dest", "Sec-Fetch-Site", "Sec-GPC", "Sec-WebSocket-Extensions", "Sec-WebSocket-Key",
		"Sec-WebSocket-Protocol", "Sec-WebSocket-Version", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent", "X-Requested-With", "Traceparent", "Expect",
	} {
		if by := forwardedBy(http.Header{http.CanonicalHeaderKey(name): {"x"}}); by != "" {
			t.Errorf("%s counts as a proxy's", name)
		}
	}
}

// The page's own origin, behind a proxy.
func TestOriginBehindAProxy(t *testing.T) {
	outside := &url.URL{Scheme: "https", Host: "greenhouse.example:8443", Path: "/gw/"}
	for _, tt := range []struct {
		name   string
		policy *Policy
		tls    bool
		host   string
		header []string
		want   string // "" is let in
	}{
		{"a listed proxy says https", &Policy{Proxies: proxies("X-Forwarded-For", "192.168.1.20/32")}, false, "gw.example",
			[]string{"Origin", "https://gw.example", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "https"}, ""},
		{"a listed proxy says wss", &Policy{Proxies: proxies("X-Forwarded-For", "192.168.1.20/32")}, false, "gw.example",
			[]string{"Origin", "https://gw.example", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "WSS"}, ""},
		{"ws behind TLS", &Policy{Proxies: proxies("X-Forwarded-For", "192.168.1.20/32")}, true, "gw.example",
			[]string{"Origin", "http://gw.example", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "ws"}, ""},
		{"as Forwarded", &Policy{Proxies: proxies("Forwarded", "192.168.1.20/32")}, false, "gw.example",
			[]string{"Origin", "https://gw.example", "Forwarded", "for=192.0.2.7;proto=https"}, ""},
		{"http behind TLS", &Policy{Proxies: proxies("X-Forwarded-For", "192.168.1.20/32")}, true, "gw.example",
			[]string{"Origin", "http://gw.example", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "http"}, ""},
		{"another header than the listed one", &Policy{Proxies: proxies("Forwarded", "192.168.1.20/32")}, false, "gw.example",
			[]string{"Origin", "https://gw.example", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "https"}, "let the proxy send Forwarded with proto="},
		{"a listed proxy that does not say", &Policy{Proxies: proxies("X-Forwarded-For", "192.168.1.20/32")}, false, "gw.example",
			[]string{"Origin", "https://gw.example", "X-Forwarded-For", "192.0.2.7"}, "let the proxy send X-Forwarded-Proto"},
		{"two words", &Policy{Proxies: proxies("X-Forwarded-For", "192.168.1.20/32")}, false, "gw.example",
			[]string{"Origin", "https://gw.example", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "http", "X-Forwarded-Proto", "https"}, "X-Forwarded-Proto"},
		{"a proxy that is not listed", &Policy{}, false, "gw.example",
			[]string{"Origin", "https://gw.example", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "https"},
			`proxies: [{from: "192.168.1.20", header: X-Forwarded-For}]`},
		{"no proxy's header", &Policy{}, false, "gw.example", []string{"Origin", "https://gw.example"}, `url: "https://gw.example"`},
		{"X-Forwarded-Host", &Policy{Proxies: proxies("X-Forwarded-For", "192.168.1.20/32")}, false, "192.168.1.7:8765",
			[]string{"Origin", "http://gw.example", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Host", "gw.example"}, `url: "http://gw.example"`},
		{"url", &Policy{URL: outside}, false, "192.168.1.7:8765", []string{"Origin", "https://greenhouse.example:8443"}, ""},
		{"the host of url", &Policy{URL: outside}, false, "greenhouse.example:8443", []string{"Origin", "https://greenhouse.example:8443"}, ""},
		{"another port than url's", &Policy{URL: outside}, false, "192.168.1.7:8765", []string{"Origin", "https://greenhouse.example"}, "origins:"},
		{"not the scheme of url", &Policy{URL: outside}, false, "192.168.1.7:8765", []string{"Origin", "http://greenhouse.example:8443"}, "origins:"},
		{"the proxy's host is no name of ours", &Policy{Proxies: proxies("X-Forwarded-For", "192.168.1.20/32")}, false, "evil.example",
			[]string{"Origin", "https://evil.example", "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "https"}, `hosts: ["evil.example"]`},
	} {
		tt.policy.Hosts = []string{"gw.example"}
		r := request(lan4, tt.host, tt.header...)
		if tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		_, err := tt.policy.Check(r)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Whatever a client sends before the part that a proxy adds: there is no panic, and the
// address is that of the proxy's part or unknown.
func FuzzForwarded(f *testing.F) {
	f.Add(`for="[2001:db8:cafe::17]:4711";proto=https, for=unknown`)
	f.Add(`for=192.0.2.43, for="_x\"y";by=a`)
	f.Add("203.0.113.9, 10.0.0.2")
	f.Fuzz(func(t *testing.T, sent string) {
		for header, added := range map[string]string{"X-Forwarded-For": "192.0.2.7", "Forwarded": `for=192.0.2.7;proto=https`} {
			p := &Policy{Proxies: proxies(header, "10.0.0.0/8"), Commands: LocalCommands}
			r := request(lan4, "gw.example")
			r.RemoteAddr = "10.0.0.1:50000"
			r.Header[header] = []string{sent + ", " + added}
			if _, name := p.From(r); name != "192.0.2.7" && !strings.HasPrefix(name, "unknown, ") {
				t.Errorf("%s: %q makes the client %q", header, sent, name)
			}
			r.Header[header] = []string{sent, added}
			if _, name := p.From(r); name != "192.0.2.7" {
				t.Errorf("%s: %q in a line before makes the client %q", header, sent, name)
			}
			r.Header[header] = []string{sent}
			if addr, _ := p.From(r); !addr.IsValid() || addr.Zone() != "" || p.MayCommand(r) == nil {
				t.Errorf("%s: %q is from %v", header, sent, addr)
			}
		}
	})
}
