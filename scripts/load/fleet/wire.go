//go:build linux

package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// header is the size of a segment's headers: 20 bytes of IPv4, 20 of TCP and 12 of its
// timestamps.
const header = 52

// counted is what the kernel has counted of a connection.
type counted struct {
	bytes    uint64 // in both directions, with those that were sent again
	segments uint64
	mss      uint32
}

// connections returns the connections of this process to the ports, by their local port.
func connections(ports map[int]bool) (map[int]counted, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	all := map[int]counted{}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		to, err := unix.Getpeername(fd)
		if err != nil || !ports[portOf(to)] { // no socket, or closed meanwhile
			continue
		}
		from, err := unix.Getsockname(fd)
		if err != nil {
			continue
		}
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			continue
		}
		all[portOf(from)] = counted{info.Bytes_sent + info.Bytes_received, uint64(info.Segs_out) + uint64(info.Segs_in), info.Snd_mss}
	}
	return all, nil
}

func portOf(a unix.Sockaddr) int {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return a.Port
	case *unix.SockaddrInet6:
		return a.Port
	}
	return 0
}

// between returns the bytes of IP packets, and the number, of the connections that are in
// both before and after.
func between(before, after map[int]counted) (bytes float64, n int) {
	for port, b := range after {
		if a, ok := before[port]; ok && b.bytes >= a.bytes && b.segments >= a.segments {
			bytes += float64(b.bytes-a.bytes) + header*float64(b.segments-a.segments)
			n++
		}
	}
	return bytes, n
}
