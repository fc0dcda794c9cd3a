package limit

import (
	"net/netip"
	"testing"
)

func TestHost(t *testing.T) {
	for _, tt := range []struct{ addr, want string }{
		{"192.0.2.7", "192.0.2.7/32"},
		{"::ffff:192.0.2.7", "192.0.2.7/32"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"2001:db8:1:2::9", "2001:db8:1:2::/64"},
		{"fe80::1%eth0", "fe80::/64"},
		{"::1", "::/64"},
	} {
		if got := Host(netip.MustParseAddr(tt.addr)).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.addr, got, tt.want)
		}
	}
	if Host(netip.Addr{}) != (netip.Prefix{}) {
		t.Error("the zero address has a host")
	}
}

func TestPlaces(t *testing.T) {
	a, b, c := Host(netip.MustParseAddr("192.0.2.1")), Host(netip.MustParseAddr("192.0.2.2")), Host(netip.MustParseAddr("192.0.2.3"))
	p := &Places{Most: 10, PerHost: 4, Reserved: 3}
	take := func(host netip.Prefix, right bool, want string) {
		t.Helper()
		if full, ok := p.Take(host, right); full != want || ok != (want == "") {
			t.Errorf("%v with a right %t: %q, %t; want %q", host, right, full, ok, want)
		}
	}
	for range 4 {
		take(a, false, "")
	}
	take(a, false, "of this host")
	take(a, true, "") // beside any number of strangers at the same address
	take(b, false, "")
	take(b, false, "")
	take(b, false, "in all")
	take(c, false, "in all")
	take(c, true, "")
	take(c, true, "")
	take(c, true, "")
	take(c, true, "in all")
	if p.Taken() != 10 {
		t.Errorf("%d are taken", p.Taken())
	}
	for range 5 {
		p.Leave(a)
	}
	take(a, false, "")
	for range 3 { // who has a right has all but the reserve from one host
		take(c, true, "")
	}
	take(c, true, "")
	take(c, true, "of this host")
	take(b, true, "in all")
	if p.Taken() != 10 {
		t.Errorf("%d are taken", p.Taken())
	}

	p = &Places{}
	for range 100 {
		take(a, false, "")
	}
	for range 100 {
		p.Leave(a)
	}
	if p.Taken() != 0 || len(p.hosts) != 0 {
		t.Errorf("%d are taken, of %v", p.Taken(), p.hosts)
	}
}
