package hil

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sensorgateway/wire"
)

// testStorage: the disk is read-only when the gateway starts, like a worn SD card, and
// becomes writable; then it is full, and is emptied. Live readings go on, and none of the
// readings in between is lost.
func testStorage(t *testing.T) {
	systemctl(t, "stop")
	owner, err := user.Lookup("gateway")
	if err != nil {
		t.Fatal(err)
	}
	// The disk is mounted at a second place: the service has its own mount of the first,
	// which would stay read-only when that is remounted.
	disk := t.TempDir()
	mount(t, "-t", "tmpfs", "-o", fmt.Sprintf("size=32m,mode=0750,uid=%s,gid=%s", owner.Uid, owner.Gid), "none", disk)
	mount(t, "--bind", disk, stateDir)
	mount(t, "-o", "remount,ro", disk)
	systemctl(t, "start")
	s, events := connect(t), listen(t)
	first := s.untilGood(t, "sht")
	wantDurable(t, "read-only file system")
	mount(t, "-o", "remount,rw", disk)
	untilEvent(t, events, "storage_back")
	wantDurable(t, "")

	ballast := fill(t, stateDir)
	// While the disk is filled, the gateway may report first that it does not keep up.
	if e := untilEvent(t, events, "storage_failed"); !strings.Contains(e.Reason, "no space left") && !strings.Contains(e.Reason, "have waited for the disk") {
		t.Errorf("the disk is full, and the event says %+v", e)
	}
	wantDurable(t, "no space left on device")
	seen := map[uint32]bool{}
	// untilLater takes records until one was made after now.
	untilLater := func(what string) wire.Record {
		now := time.Now().UnixMilli()
		return s.until(t, "sht", what, func(r wire.Record) bool {
			seen[r.Seq] = true
			return r.UnixMilli > now && r.Fault == wire.Good
		})
	}
	untilLater("tick on a full disk")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	untilEvent(t, events, "storage_back")
	wantDurable(t, "")
	last := untilLater("tick on a disk with room")
	for _, r := range kept(t, "sht", first.UnixMilli, last.UnixMilli+1) {
		delete(seen, r.Seq)
	}
	if len(seen) > 0 {
		t.Errorf("numbers %v came and are not kept", seen)
	}

	systemctl(t, "stop")
	wantSuccess(t)
	if b, err := exec.Command("umount", stateDir, disk).CombinedOutput(); err != nil {
		t.Fatalf("umount: %v: %s", err, b)
	}
}

func mount(t *testing.T, args ...string) {
	t.Helper()
	if b, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Fatalf("mount %v: %v: %s", args, err, b)
	}
}

// fill leaves no room in a directory, and also takes the space that the log of readings
// has reserved: otherwise the log would not notice for an hour. (Copy-on-write file
// systems behave in this way.) It returns the file that fills the disk.
func fill(t *testing.T, dir string) string {
	t.Helper()
	journals, err := filepath.Glob(filepath.Join(dir, "log", "*.journal"))
	if err != nil || len(journals) == 0 {
		t.Fatalf("journals %v, %v", journals, err)
	}
	for _, path := range journals {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, info.Size()); err != nil {
			t.Fatalf("fallocate %s: %v", path, err)
		}
	}
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(b)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return ballast
}

// wantDurable checks that the gateway is ready, and its reason why readings are not
// durable; "" if they are.
func wantDurable(t *testing.T, reason string) {
	t.Helper()
	retry(t, fmt.Sprintf("of storage %q", reason), func() error { // another reason may have been noticed first
		var answer struct {
			OK, Durable bool
			Storage     string
		}
		status, body := get(t, "/readyz", "*/*")
		if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || !answer.OK ||
			answer.Durable != (reason == "") || !strings.Contains(answer.Storage, reason) {
			return fmt.Errorf("/readyz says %d %s, want ok, and of storage %q", status, body, reason)
		}
		return nil
	})
}
