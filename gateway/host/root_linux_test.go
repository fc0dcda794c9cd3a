package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 10 * time.Second

// await waits until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v: %s: not yet", patience, what)
		}
	}
}

// opened returns a descriptor of this process for the file at path, other than except; -1 if
// there is none.
func opened(t *testing.T, path string, except int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		target, _ := os.Readlink("/proc/self/fd/" + e.Name()) // "" for the directory itself, closed meanwhile
		if err == nil && fd != except && target == path {
			return fd
		}
	}
	return -1
}

// EAGAIN is returned, no other answer is waited for. A pipe stands for a file of /sys: it can
// be polled, and a read of an empty one fails with EAGAIN if it does not block.
func TestEAGAINIsReturned(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "temp1_input")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := fs.ReadFile(Root(dir), "temp1_input")
		read <- err
	}()
	writer := -1
	await(t, "the file is opened", func() bool {
		writer, err = syscall.Open(path, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		return err == nil
	})
	defer syscall.Close(writer) // ends a read that waits all the same
	reader := -1
	await(t, "a descriptor reads the file", func() bool {
		reader = opened(t, path, writer)
		return reader >= 0
	})
	write := func() {
		t.Helper()
		if _, err := syscall.Write(writer, []byte("4")); err != nil {
			t.Fatal(err)
		}
	}
	write()
	await(t, "the file is read", func() bool {
		n, err := unix.IoctlGetInt(writer, unix.TIOCINQ)
		return err == nil && n == 0
	})
	// A read that is under way gets what is written then, the one after it EAGAIN.
	if err := syscall.SetNonblock(reader, true); err != nil {
		t.Fatal(err)
	}
	write()
	select {
	case err := <-read:
		if !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("%v, want EAGAIN", err)
		}
	case <-time.After(patience):
		t.Errorf("EAGAIN, and it waits for more than %v", patience)
	}
}

// Else the files are as those of os.DirFS, its errors too.
func TestRoot(t *testing.T) {
	dir := t.TempDir()
	long := make([]byte, 10000)
	for name, data := range map[string][]byte{"text": []byte("21500\n"), "empty": {}, "long": long} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("text", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"text", "empty", "long", "link", "none", "text/none", ".", "../text", "/text", ""} {
		got, err := fs.ReadFile(Root(dir), name)
		want, wantErr := fs.ReadFile(os.DirFS(dir), name)
		var e, wantE *fs.PathError
		errors.As(err, &e)
		errors.As(wantErr, &wantE)
		if string(got) != string(want) || (e == nil) != (wantE == nil) || e != nil && *e != *wantE {
			t.Errorf("%q: %d bytes, %v; want %d, %v", name, len(got), err, len(want), wantErr)
		}
	}
	if target, err := fs.ReadLink(Root(dir), "link"); target != "text" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	if entries, err := fs.ReadDir(Root(dir), "."); len(entries) != 4 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}
