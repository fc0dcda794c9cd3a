//go:build unix

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What has a file's name and is none is not waited for, also behind a link: it is said what
// it is, and where.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(unix.Mkfifo(at("pipe"), 0o600), os.Mkdir(at("dir"), 0o700), os.WriteFile(at("file"), []byte("text"), 0o600),
		os.Symlink("pipe", at("link to pipe")), os.Symlink("file", at("link"))); err != nil {
		t.Skip(err)
	}
	for path, want := range map[string]string{
		at("pipe"): " is no file but a pipe, ", at("link to pipe"): " is no file but a pipe, ", at("dir"): " is no file but a directory (remove it, ",
		os.DevNull: " is no file but a device or a socket (Dcrw-rw-rw-) (", at("file"): "", at("link"): "",
	} {
		read := make(chan error, 1)
		go func() {
			data, err := Read(path)
			if err == nil && string(data) != "text" {
				err = errors.New("read " + string(data))
			}
			read <- err
		}()
		select {
		case err := <-read:
			if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), path+want) {
				t.Errorf("%s: %v, want %q", path, err, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s is waited for", path)
		}
	}
	if _, err := Read(at("nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
}
