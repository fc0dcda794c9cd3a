package machine

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Listen opens the sockets of a checked address. "localhost" is both loopback
// addresses, for clients differ in which one they try; one of them may be missing.
func Listen(address string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(host, "localhost") {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, explainListen(err)
		}
		return []net.Listener{l}, nil
	}
	v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) { // a machine without IPv4
		v6, err := net.Listen("tcp6", net.JoinHostPort("::1", port))
		if err != nil {
			return nil, explainListen(err)
		}
		return []net.Listener{v6}, nil
	}
	if err != nil {
		return nil, explainListen(err)
	}
	_, port, _ = net.SplitHostPort(v4.Addr().String()) // the one that was given for port 0
	v6, err := net.Listen("tcp6", net.JoinHostPort("::1", port))
	if errors.Is(err, syscall.EADDRINUSE) {
		_ = v4.Close()
		return nil, explainListen(err)
	}
	if err != nil {
		return []net.Listener{v4}, nil
	}
	return []net.Listener{v4, v6}, nil
}

func explainListen(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another program listens there, perhaps another gateway; fix: stop it, or --listen localhost:8081", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this machine has no such address; fix: see the addresses with: ip addr", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 are for root; fix: --listen localhost:8765", err)
	}
	return err
}
