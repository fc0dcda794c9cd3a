package announce

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/access"
)

// maxAddresses is how many addresses are named: a machine with containers can have
// hundreds, and people look for one.
const maxAddresses = 8

// pages returns the addresses of the page: first the one for this machine, or the only
// one, then those that other machines can open.
func pages(cfg *config.Config, port string, machine func() (names []string, addresses []netip.Addr)) []string {
	scheme := "http"
	if cfg.TLS != nil {
		scheme = "https"
	}
	host, _, _ := net.SplitHostPort(cfg.Listen) // it is checked
	hosts := []string{host}
	if everywhere(host) {
		hosts = []string{"localhost"}
		names, addresses := machine()
		for _, name := range names {
			if strings.HasSuffix(name, ".local") { // mDNS: it needs no name server that knows it
				hosts = append(hosts, name)
			}
		}
		for _, a := range addresses {
			if reached(host, a) {
				hosts = append(hosts, a.String())
			}
		}
	}
	if !address.IsLoopback(host) {
		hosts = append(hosts, cfg.Hosts...)
	}
	var pages []string
	for _, host := range hosts {
		if page := scheme + "://" + net.JoinHostPort(host, port) + "/"; !slices.Contains(pages, page) && len(pages) < maxAddresses {
			pages = append(pages, page)
		}
	}
	if cfg.URL != nil {
		pages = append(pages, cfg.URL.String())
	}
	return pages
}

// everywhere reports whether host, of an address to listen on, is all interfaces.
func everywhere(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// reached reports whether clients can connect to a if the gateway listens on host,
// which is all interfaces: 0.0.0.0 takes IPv4 only.
func reached(host string, a netip.Addr) bool { return host != "0.0.0.0" || a.Is4() }

// ofMachine returns the names and addresses by which other machines know this one.
// Addresses that hold on one link only are left out: browsers cannot open them.
func ofMachine() (names []string, addresses []netip.Addr) {
	interfaces, _ := net.Interfaces() // without them the names are left
	for _, i := range interfaces {
		if i.Flags&net.FlagRunning == 0 {
			continue
		}
		all, _ := i.Addrs() // it may just have been removed
		for _, a := range all {
			prefix, err := netip.ParsePrefix(a.String())
			if addr := prefix.Addr().Unmap(); err == nil && addr.IsGlobalUnicast() {
				addresses = append(addresses, addr)
			}
		}
	}
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() }) // IPv4 is what people type
	return access.MachineNames(), addresses
}

// readingsAt returns the address for a client of the readings of a page.
func readingsAt(page string) string { return "ws" + strings.TrimPrefix(page, "http") }
