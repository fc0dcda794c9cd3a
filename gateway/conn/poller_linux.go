package conn

import (
	"os"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller waits, in one goroutine, for all clients that are parked. The runtime's own
// poller can only wake a goroutine that waits for one socket. So this is an epoll(7) of
// our own, and the runtime's poller waits for that.
type poller struct {
	mu      sync.Mutex
	file    *os.File // the epoll; nil before the first client
	fd      int      // its descriptor
	closed  bool
	sockets []*socket // by descriptor
	done    chan struct{}
}

// polled is how many sockets are asked about at a time.
const polled = 64

// add begins to wait for a socket, and returns whether it can. It waits until the
// descriptor is closed: events are ignored while the client is not parked.
func (p *poller) add(s *socket, fd int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil && !p.start() {
		return false
	}
	if missing := fd + 1 - len(p.sockets); missing > 0 {
		p.sockets = append(p.sockets, make([]*socket, missing)...)
	}
	p.sockets[fd] = s
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)}
	if unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &event) != nil { // for lack of memory or of watches
		p.sockets[fd] = nil
		return false
	}
	return true
}

// remove must come before the descriptor is closed.
func (p *poller) remove(fd int) {
	p.mu.Lock()
	if fd < len(p.sockets) {
		p.sockets[fd] = nil
	}
	p.mu.Unlock()
}

// start starts the goroutine, and returns whether it can. p.mu is held.
func (p *poller) start() bool {
	if p.closed {
		return false
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	_ = unix.SetNonblock(fd, true) // what os.NewFile asks for, to let the runtime wait for it
	p.fd, p.file, p.done = fd, os.NewFile(uintptr(fd), "epoll"), make(chan struct{})
	raw, err := p.file.SyscallConn()
	if err != nil {
		_ = p.file.Close()
		p.file, p.closed = nil, true
		return false
	}
	go p.run(raw)
	return true
}

// run waits until the poller is closed.
func (p *poller) run(raw syscall.RawConn) {
	defer close(p.done)
	var events [polled]unix.EpollEvent
	var ready []*socket
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0) // EINTR: once more
			return n > 0
		})
		if err != nil {
			return
		}
		p.mu.Lock()
		for _, e := range events[:n] {
			if s := p.sockets[e.Fd]; s != nil {
				ready = append(ready, s)
			}
		}
		p.mu.Unlock()
		for _, s := range ready {
			s.readable() // if the descriptor is another's by now, there is nothing to read
		}
		ready = slices.Delete(ready, 0, len(ready))
	}
}

// close ends the goroutine and waits for it. Nobody is woken any more.
func (p *poller) close() {
	p.mu.Lock()
	file := p.file
	p.file, p.closed = nil, true
	p.mu.Unlock()
	if file != nil {
		_ = file.Close()
		<-p.done
	}
}

// readNow reads what has come, and returns whether that is nothing yet; 0 and false
// stand for the end and for errors.
func readNow(fd int, b []byte) (n int, nothing bool) {
	for {
		r, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(r), false
		case syscall.EAGAIN:
			return 0, true
		case syscall.EINTR:
		default:
			return 0, false
		}
	}
}
