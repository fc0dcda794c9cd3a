package statefile

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// changes are what replaces, removes or changes a file of a directory, or the directory
// itself (inotify(7)).
const changes = unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_DELETE |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// Watch says on a channel when files of a directory have changed, until stop is called.
// The channel has room for one value, which stands for all changes. It is closed when
// no more can be said: the directory was moved or removed, or there may be no more
// watches (128 for each user, if nothing else is set).
func Watch(dir string) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		close(c)
		return c, func() {}
	}
	events := os.NewFile(uintptr(fd), "inotify of "+dir)
	if _, err := unix.InotifyAddWatch(fd, dir, changes); err != nil {
		_ = events.Close()
		close(c)
		return c, func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(c)
		buf := make([]byte, 16*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
		for {
			n, err := events.Read(buf)
			if err != nil || ends(buf[:n]) {
				return
			}
			select {
			case c <- struct{}{}:
			default: // there is one
			}
		}
	}()
	return c, func() { _ = events.Close(); <-done }
}

// ends reports whether one of the events says that no more will come of the directory.
func ends(events []byte) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(events[4:])
		if mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF|unix.IN_DELETE_SELF|unix.IN_UNMOUNT) != 0 {
			return true
		}
		name := binary.NativeEndian.Uint32(events[12:])
		events = events[unix.SizeofInotifyEvent+int(name):]
	}
	return false
}
