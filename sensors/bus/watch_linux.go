package bus

import (
	"os"

	"golang.org/x/sys/unix"
)

// watchNode calls changed when the file at path, its links or its mode change, until stop is
// called. If there are no more inotify instances (each user has 128), a file that was removed
// is noticed at the next transaction.
func watchNode(path string, changed func()) (stop func()) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return func() {}
	}
	// Not IN_DELETE_SELF: it comes when the last descriptor is closed, and ours is one.
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_ATTRIB); err != nil {
		_ = unix.Close(fd)
		changed() // removed since it was opened
		return func() {}
	}
	events := os.NewFile(uintptr(fd), "inotify of "+path)
	done := make(chan struct{})
	go func() {
		defer close(done)
		changed() // what happened before the watch
		buf := make([]byte, unix.SizeofInotifyEvent+unix.NAME_MAX+1)
		for {
			if _, err := events.Read(buf); err != nil {
				return // closed
			}
			changed()
		}
	}()
	return func() { _ = events.Close(); <-done }
}
