//go:build linux

package swarm

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// patience is how long a client waits for the server to accept it, in seconds.
const patience = 20

// dial connects and upgrades one client. It returns the non-blocking socket, and what
// the server sent after its answer. When the socket is closed, the connection is reset,
// so that thousands of clients leave no ports in TIME_WAIT.
func dial(o Options) (fd int, early []byte, err error) {
	addr, err := netip.ParseAddrPort(o.Addr)
	if err != nil {
		return -1, nil, err
	}
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("socket: %w", err)
	}
	if early, err = handshake(fd, addr, o); err != nil {
		_ = unix.Close(fd) // the first error tells more
		return -1, nil, err
	}
	return fd, early, nil
}

func handshake(fd int, addr netip.AddrPort, o Options) (early []byte, err error) {
	limit := unix.Timeval{Sec: patience}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if o.Stalled { // the kernel takes its minimum instead
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
	}
	to := &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	if err := unix.Connect(fd, to); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	request := "GET / HTTP/1.1\r\nHost: " + o.Addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c3dhcm0gb2YgY2xpZW50cw==\r\nSec-WebSocket-Protocol: " + o.Protocol + "\r\n\r\n"
	if _, err := unix.Write(fd, []byte(request)); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	answer, chunk := []byte(nil), make([]byte, 1024)
	for {
		if head, rest, ok := bytes.Cut(answer, []byte("\r\n\r\n")); ok {
			if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
				return nil, fmt.Errorf("refused: %s", bytes.TrimSpace(answer))
			}
			if o.Stalled {
				return nil, burden(fd)
			}
			return bytes.Clone(rest), unix.SetNonblock(fd, true)
		}
		n, err := readWaiting(fd, chunk)
		if err != nil {
			return nil, fmt.Errorf("answer: %w", err)
		}
		if n == 0 {
			return nil, errors.New("no answer: the server hung up")
		}
		answer = append(answer, chunk[:n]...)
	}
}

// burden asks for 32 KiB of answers.
func burden(fd int) error {
	request := []byte(`{"type":"ping","payload":{"x":"` + strings.Repeat("x", 4000) + `"}}`)
	for range 8 {
		if _, err := unix.Write(fd, masked(opText, request)); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	}
	return nil
}

// leave sends a close frame and reads until the server closes the connection.
func leave(fd int, buf []byte) error {
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	if _, err := unix.Write(fd, masked(opClose, []byte{1000 >> 8, 1000 & 0xFF})); err != nil {
		return err
	}
	for {
		if n, err := readWaiting(fd, buf); n <= 0 {
			return err
		}
	}
}

// readWaiting reads from a blocking socket. (With a time limit the kernel does not
// restart a read that one of the runtime's signals interrupted.)
func readWaiting(fd int, buf []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, buf); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
