package address

import (
	"strings"
	"testing"

	"sensorgateway/cmd/gateway/internal/phrase"
)

func TestCheckListen(t *testing.T) {
	const beyond = " (set tls, or write insecure: true in the file to allow that, or listen on localhost:80)"
	for _, test := range []struct {
		listen, kept, exposed string // what it becomes, or the error
	}{
		{"localhost:8765", "localhost:8765", "localhost:8765"},
		{"LocalHost:80", "LocalHost:80", "LocalHost:80"},
		{"127.0.0.1:80", "127.0.0.1:80", "127.0.0.1:80"},
		{"127.255.0.9:80", "127.255.0.9:80", "127.255.0.9:80"},
		{"[::1]:80", "[::1]:80", "[::1]:80"},
		{"[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80"},
		{":80", `":80" is all interfaces: other machines can reach it, unencrypted` + beyond, ":80"},
		{":0080", `":0080" is all interfaces: other machines can reach it, unencrypted` + beyond, ":80"},

		{"0.0.0.0:80", `other machines can reach "0.0.0.0:80", unencrypted` + beyond, "0.0.0.0:80"},
		{"[::]:80", `other machines can reach "[::]:80", unencrypted` + beyond, "[::]:80"},
		{"128.0.0.1:80", `other machines can reach "128.0.0.1:80", unencrypted` + beyond, "128.0.0.1:80"},
		{"[fe80::1%eth0]:80", `other machines can reach "[fe80::1%eth0]:80", unencrypted` + beyond, "[fe80::1%eth0]:80"},
		{"pi.local:80", `other machines can reach "pi.local:80", unencrypted` + beyond, "pi.local:80"},
		{"localhost.example:80", `other machines can reach "localhost.example:80", unencrypted` + beyond, "localhost.example:80"},

		{"", `"" has no port (write host:port, such as localhost:8765)`, ""},
		{"localhost", `"localhost" has no port (write host:port, such as localhost:8765)`, ""},
		{"8765", `"8765" is only a port (write localhost:8765, or :8765 for all interfaces)`, ""},
		{"localhost:", `port "" is not a number from 0 to 65535`, ""},
		{"localhost:65536", `port "65536" is not a number from 0 to 65535`, ""},
		{"localhost:-1", `port "-1" is not a number from 0 to 65535`, ""},
		{"localhost:http", `port "http" is not a number from 0 to 65535`, ""},
		{"::1:80", `"::1:80" is not host:port (an IPv6 address needs brackets: [::1]:8765)`, ""},
		{"[::1]", `"[::1]" is not host:port (an IPv6 address needs brackets: [::1]:8765)`, ""},
		{"ws://localhost:80", `"ws://localhost:80" is a URL (write host:port, such as localhost:8765)`, ""},
	} {
		t.Run(test.listen, func(t *testing.T) {
			if test.exposed == "" {
				test.exposed = test.kept
			}
			for exposed, want := range map[bool]string{false: test.kept, true: test.exposed} {
				got, err := CheckListen(test.listen, exposed)
				if err != nil {
					got = err.Error()
				}
				if got != want {
					t.Errorf("exposed %v: got %s\nwant %s", exposed, got, want)
				}
			}
		})
	}
}

func TestCheckListenHost(t *testing.T) {
	for _, host := range []string{"a b", "-a", "a-", "a..b", "*", "256.0.0.1", "1.2.3", "10.0.0.01", "pi_1", "ça", "a\n", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"} {
		_, err := CheckListen(host+":80", true)
		want := phrase.Quote(host) + " is neither a host name nor an address (write localhost, an address of this machine, or nothing for all interfaces)"
		if err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	for _, host := range []string{"a", "pi-4.local", "1.example", "xn--a", strings.Repeat("a", 63)} {
		if got, err := CheckListen(host+":80", true); err != nil || got != host+":80" {
			t.Errorf("%s: got %q, %v", host, got, err)
		}
	}
}
