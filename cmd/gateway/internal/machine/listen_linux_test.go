package machine

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
)

// An address that the machine does not have yet is listened on, with a warning.
func TestListenAhead(t *testing.T) {
	for _, host := range []string{"203.0.113.7", "[2001:db8::7]"} {
		if _, err := Listen(host + ":0"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			if errors.Is(err, syscall.EAFNOSUPPORT) { // a machine without IPv6
				continue
			}
			t.Fatal(err)
		}
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		sockets, err := ListenAhead(host+":0", log)
		if err != nil {
			t.Fatal(err)
		}
		defer sockets[0].Close()
		address := sockets[0].Addr().String()
		if len(sockets) != 1 || !strings.HasPrefix(address, host+":") {
			t.Errorf("it listens on %s", address)
		}
		if !strings.Contains(said.String(), "level=WARN msg=\"this machine does not have the address to listen on yet") || !strings.Contains(said.String(), "fix=") {
			t.Errorf("%s: %s", host, &said)
		}
		if _, err := ListenAhead(address, log); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "fix: stop it") {
			t.Errorf("%s a second time: %v", address, err)
		}
	}
}

// There is no warning of an address that the machine has.
func TestListenAheadOfNothing(t *testing.T) {
	var said bytes.Buffer
	sockets, err := ListenAhead("127.0.0.1:0", slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil || len(sockets) != 1 || said.Len() > 0 {
		t.Fatalf("%v, %s", err, &said)
	}
	if err := sockets[0].Close(); err != nil {
		t.Error(err)
	}
}
