package config

import (
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/limit"
)

// badAccess are files that must be refused for who may connect and how.
var badAccess = []struct{ name, file, want string }{
	{"tls, empty", oneSensor + "tls: {}\n",
		`gateway.yaml:2: tls: no cert (add one, such as cert: /etc/gateway/gateway.crt)
gateway.yaml:2: tls: no key (add one, such as key: /etc/gateway/gateway.key)`},
	{"tls, unknown key", oneSensor + "tls: {certificate: /a, key: /b}\n",
		`gateway.yaml:2: tls: no cert (add one, such as cert: /etc/gateway/gateway.crt)
gateway.yaml:2: unknown key "certificate" in tls (known: cert, key, clients, hsts)`},
	{"tls, clients", oneSensor + "tls: {cert: /a, key: /b, clients: clients.crt}\n",
		`gateway.yaml:2: tls.clients: "clients.crt" is not the full path of a file (begin it at the root, such as /etc/gateway/clients.crt)`},
	{"tls, paths", oneSensor + `tls:
  cert: gateway.crt
  key: [a]
`,
		`gateway.yaml:3: tls.cert: "gateway.crt" is not the full path of a file (begin it at the root, such as /etc/gateway/gateway.crt)
gateway.yaml:4: tls.key: a list where a single value must be (write key: value)`},
	{"tls, null", oneSensor + `tls:
  cert: /a
  key:
`,
		`gateway.yaml:4: tls.key: no value (give it one, or remove the line)`},
	{"hosts", oneSensor + `hosts:
  - https://greenhouse.example/page
  - greenhouse.example:8443
  - 10.0.0.7:80
  - "[::1]"
  - fe80::1%eth0
  - "*.example"
  - ""
  - a b
  - 10.0.0.777
  - "10.0.0.7:"
  - [a]
  - x: 8443
  -
`,
		`gateway.yaml:3: hosts[0]: "https://greenhouse.example/page" is more than a host (write greenhouse.example)
gateway.yaml:4: hosts[1]: "greenhouse.example:8443" is more than a host (write greenhouse.example)
gateway.yaml:5: hosts[2]: "10.0.0.7:80" is more than a host (write 10.0.0.7)
gateway.yaml:6: hosts[3]: "[::1]" is more than a host (write ::1)
gateway.yaml:7: hosts[4]: "fe80::1%eth0" has a zone, which browsers do not send (write fe80::1)
gateway.yaml:8: hosts[5]: "*.example": no name stands for others (write each one, such as greenhouse.example)
gateway.yaml:9: hosts[6]: "" is neither a host name nor an address (write it as browsers show it, such as greenhouse.example)
gateway.yaml:10: hosts[7]: "a b" is neither a host name nor an address (write it as browsers show it, such as greenhouse.example)
gateway.yaml:11: hosts[8]: "10.0.0.777" is neither a host name nor an address (write it as browsers show it, such as greenhouse.example)
gateway.yaml:12: hosts[9]: "10.0.0.7:" is more than a host (write 10.0.0.7)
gateway.yaml:13: hosts[10]: a list where a single value must be (a value with ": " or [ ] in it needs quotes)
gateway.yaml:14: hosts[11]: a mapping where a single value must be (a value with ": " or [ ] in it needs quotes)
gateway.yaml:15: hosts[12]: no value (give it one, or remove the line)`},
	{"hosts, without brackets", oneSensor + "hosts: greenhouse.example\n",
		`gateway.yaml:2: hosts: "greenhouse.example" where a list must be (write hosts: ["greenhouse.example"])`},
	{"origins", oneSensor + `origins:
  - "*"
  - https://*.scada.example
  - null
  - file:///page.html?x
  - scada.example
  - scada.example:8443
  - https://scada.example/
  - https://scada.example/page?x
  - https://a@scada.example
  - https://scada.example:443
  - http://scada.example:080
  - http://[0:0::1]:80
  - https://scada.example:0
  - https://scada.example:65536
  - https://scada.example:x
  - wss://scada.example/sensors
  - capacitor:localhost
  - https://
  - https://a b
  - hello, world
`,
		`gateway.yaml:3: origins[0]: "*" would let in pages that nobody knows (write each origin, such as https://scada.example)
gateway.yaml:4: origins[1]: "https://*.scada.example" would let in pages that nobody knows (write each origin, such as https://scada.example)
gateway.yaml:5: origins[2]: no value (give it one, or remove the line)
gateway.yaml:6: origins[3]: "file:///page.html?x" is not what browsers send (write file://)
gateway.yaml:7: origins[4]: "scada.example" has no scheme (write http:// or https:// before it, whichever the page has)
gateway.yaml:8: origins[5]: "scada.example:8443" has no scheme (write http:// or https:// before it, whichever the page has)
gateway.yaml:9: origins[6]: "https://scada.example/" is not what browsers send (write https://scada.example)
gateway.yaml:10: origins[7]: "https://scada.example/page?x" is not what browsers send (write https://scada.example)
gateway.yaml:11: origins[8]: "https://a@scada.example" is not what browsers send (write https://scada.example)
gateway.yaml:12: origins[9]: "https://scada.example:443" is not what browsers send (write https://scada.example)
gateway.yaml:13: origins[10]: "http://scada.example:080" is not what browsers send (write http://scada.example)
gateway.yaml:14: origins[11]: "http://[0:0::1]:80" is not what browsers send (write http://[::1])
gateway.yaml:15: origins[12]: "https://scada.example:0" has a port that is not a number from 1 to 65535 (write scheme://host or scheme://host:port, such as https://scada.example)
gateway.yaml:16: origins[13]: "https://scada.example:65536" has a port that is not a number from 1 to 65535 (write scheme://host or scheme://host:port, such as https://scada.example)
gateway.yaml:17: origins[14]: "https://scada.example:x" is not an origin (write scheme://host or scheme://host:port, such as https://scada.example)
gateway.yaml:18: origins[15]: "wss://scada.example/sensors" is not what browsers send (write wss://scada.example)
gateway.yaml:19: origins[16]: "capacitor:localhost" is not an origin (write scheme://host or scheme://host:port, such as https://scada.example)
gateway.yaml:20: origins[17]: "https://" is not an origin (write scheme://host or scheme://host:port, such as https://scada.example)
gateway.yaml:21: origins[18]: "https://a b" is not an origin (write scheme://host or scheme://host:port, such as https://scada.example)
gateway.yaml:22: origins[19]: "hello, world" is not an origin (write scheme://host or scheme://host:port, such as https://scada.example)`},
	{"url", oneSensor + "url: greenhouse.example\n",
		`gateway.yaml:2: url: "greenhouse.example" is not the http or https address of a page (write it as browsers show it, such as https://greenhouse.example or https://greenhouse.example/gw/)`},
	{"url, a user", oneSensor + "url: https://me@greenhouse.example\n",
		`gateway.yaml:2: url: "https://me@greenhouse.example" has more than a host and a path (write it as browsers show it, such as https://greenhouse.example or https://greenhouse.example/gw/)`},
	{"url, a host that is none", oneSensor + "url: https://*.example\n",
		`gateway.yaml:2: url: "https://*.example" would let in pages that nobody knows (write each origin, such as https://scada.example)`},
	{"proxies", oneSensor + `proxies:
  - {from: 127.0.0.1}
  - {header: Forwarded}
  - {from: localhost, header: X-Real-IP}
  - {from: 10.0.0.1/8, header: Forwarded}
  - {from: 0.0.0.0/0, header: Forwarded}
  - {from: "::ffff:10.0.0.0/104", header: Forwarded}
  - {from: 127.0.0.1/32, header: Forwarded}
  - 127.0.0.2
`,
		`gateway.yaml:3: proxies[0]: no header (add the one that this proxy sets itself: header: X-Forwarded-For or Forwarded)
gateway.yaml:4: proxies[1]: no from (add the address that the proxy connects from, such as from: 127.0.0.1)
gateway.yaml:5: proxies[2].from: "localhost" is neither an address nor a range of them (write an address or a range, such as 127.0.0.1 or 10.0.0.0/8)
gateway.yaml:5: proxies[2].header: "X-Real-IP" is not a header that the gateway understands (write X-Forwarded-For or Forwarded)
gateway.yaml:6: proxies[3].from: "10.0.0.1/8" is more than its first 8 bits (write 10.0.0.0/8)
gateway.yaml:7: proxies[4].from: "0.0.0.0/0" would take anybody for a proxy (write an address or a range, such as 127.0.0.1 or 10.0.0.0/8)
gateway.yaml:8: proxies[5].from: "::ffff:10.0.0.0/104" is a range of IPv4 addresses in IPv6 (write an address or a range, such as 127.0.0.1 or 10.0.0.0/8)
gateway.yaml:9: proxies[6].from: "127.0.0.1/32" is on line 3 already (a proxy has one header: remove one)
gateway.yaml:10: proxies[7]: "127.0.0.2" where keys with values must be (write key: value)`},
	{"commands", oneSensor + "commands: all\n",
		`gateway.yaml:2: commands: unknown value "all" (write local or unauthenticated)`},
	{"commands, in capitals", oneSensor + "commands: Local\n",
		`gateway.yaml:2: commands: unknown value "Local" (write local or unauthenticated)`},
}

var equalPrefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestAccessConfig(t *testing.T) {
	c, err := parse(t, oneSensor+`
tls: {cert: /etc/gateway/gateway.crt, key: /etc/gateway/gateway.key}
hosts: [Greenhouse.example, 10.0.0.7, "FE80:0::1", xn--grn-hoa.example, pi_1]
origins:
  - HTTPS://Scada.example
  - http://scada.example:8080
  - http://10.0.0.9
  - http://[::1]:3000
  - "null"
  - ""
  - file://
  - ws://192.168.1.7:8765
  - capacitor://localhost
  - Chrome-Extension://abcdefghijklmnop
url: HTTPS://Greenhouse.example:443/gw
proxies:
  - {from: 127.0.0.1, header: x-forwarded-for}
  - {from: "fd00::/8", header: Forwarded}
commands: unauthenticated
`)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Listen: ":8443", Limits: limit.Default(), History: History{256 << 20, 7 * 24 * time.Hour}, LogFormat: "auto", Primary: "indoor", Sensors: c.Sensors,
		TLS:   &TLS{Cert: "/etc/gateway/gateway.crt", Key: "/etc/gateway/gateway.key", Line: 3, HSTS: true},
		Hosts: []string{"greenhouse.example", "10.0.0.7", "fe80::1", "xn--grn-hoa.example", "pi_1"},
		Origins: []string{"https://scada.example", "http://scada.example:8080", "http://10.0.0.9", "http://[::1]:3000",
			"null", "", "file://", "ws://192.168.1.7:8765", "capacitor://localhost", "chrome-extension://abcdefghijklmnop"},
		URL: &url.URL{Scheme: "https", Host: "greenhouse.example", Path: "/gw/"},
		Proxies: []access.Proxy{
			{From: netip.MustParsePrefix("127.0.0.1/32"), Header: "X-Forwarded-For"},
			{From: netip.MustParsePrefix("fd00::/8"), Header: "Forwarded"},
		},
		Commands: access.AnybodyCommands,
	}
	if diff := cmp.Diff(want, c, equalPrefixes); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

// With TLS, no other machine has to be kept away.
func TestListenWithTLS(t *testing.T) {
	for listen, want := range map[string]string{
		"localhost:8443": "localhost:8443",
		":443":           ":443",
		"pi.local:443":   "pi.local:443",
	} {
		c, err := parse(t, oneSensor+"tls: {cert: /a, key: /b}\nlisten: "+listen+"\n")
		if err != nil {
			t.Errorf("%s: %v", listen, err)
		} else if c.Listen != want {
			t.Errorf("%s: listens on %s, want %s", listen, c.Listen, want)
		}
	}
}

func TestEmptyListsAreNone(t *testing.T) {
	c, err := parse(t, oneSensor+"hosts: []\norigins: []\nmotors: []\nproxies: []\ncommands: local\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Hosts)+len(c.Origins)+len(c.Motors)+len(c.Proxies) > 0 || c.Commands != access.LocalCommands {
		t.Errorf("got %+v", c)
	}
}
