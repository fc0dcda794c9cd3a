package host

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Root returns the files of this machine below a directory, as [os.DirFS] does, except
// that ReadFile returns EAGAIN. Many drivers answer so while they have no value, and the files
// of /sys can be polled: [os.File] would wait for an event that never comes.
func Root(dir string) fs.FS { return root{os.DirFS(dir).(dirFS), dir} }

// dirFS is what [os.DirFS] implements, without ReadFile.
type dirFS interface {
	fs.StatFS
	fs.ReadDirFS
	fs.ReadLinkFS
}

type root struct {
	dirFS
	dir string
}

// ReadFile returns a file's content.
func (r root) ReadFile(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "readfile", Path: name, Err: fs.ErrInvalid}
	}
	fd, err := syscall.Open(filepath.Join(r.dir, filepath.FromSlash(name)), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name) // not polled, because its descriptor is a blocking one
	defer f.Close()
	return io.ReadAll(f)
}
