package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// ListenAhead is [Listen] for a gateway that may start before the network is there, and shall
// measure all the same: on Linux it also listens on an address that the machine does not have
// yet, and warns of that.
func ListenAhead(address string, log *slog.Logger) ([]net.Listener, error) {
	sockets, err := Listen(address)
	if !mayCome(err) {
		return sockets, err
	}
	ahead := net.ListenConfig{Control: freeBind}
	ahead.SetMultipathTCP(false) // kernels before 5.17 refuse the option with it
	l, failed := ahead.Listen(context.Background(), "tcp", address)
	switch {
	case errors.Is(failed, errors.ErrUnsupported):
		return nil, err
	case failed != nil:
		return nil, explainListen(failed)
	}
	log.Warn("this machine does not have the address to listen on yet: the gateway can be reached once it has",
		"address", address, "fix", "if the address is wrong, correct listen: in the configuration; see the addresses with: ip addr")
	return []net.Listener{l}, nil
}

// mayCome reports whether an address could not be listened on because the machine does not
// have it, and may get it: from DHCP, say, or when a cable is plugged in.
func mayCome(err error) bool {
	tried, ok := errors.AsType[*net.OpError](err)
	if !ok || !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return false
	}
	at, ok := tried.Addr.(*net.TCPAddr)
	return ok && !at.IP.IsLoopback()
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
