package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sensorgateway/wire"
)

// ext4 is a file system of its own, in a file, from which the power can be taken.
type ext4 struct {
	t       *testing.T
	cuts    int    // so far
	image   string // what is mounted
	dir     string // where
	mounted bool
}

func newExt4(t *testing.T) *ext4 {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("to mount a file system takes root")
	}
	for _, tool := range []string{"mkfs.ext4", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			unavailable(t, "no %s here (Debian packages e2fsprogs, util-linux)", tool)
		}
	}
	top := t.TempDir()
	d := &ext4{t: t, image: filepath.Join(top, "image"), dir: filepath.Join(top, "mnt")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", d.image, "64M").CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if err := d.mount(); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(d.unmount)
	return d
}

func (d *ext4) mount() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	d.mounted = true
	return nil
}

// restore mounts what the power cut left. It is a copy: the kernel would find the
// file system that was shut down again, on the same loop device, as long as
// another mount namespace of the machine has it.
func (d *ext4) restore() {
	d.t.Helper()
	d.unmount()
	d.cuts++
	left := filepath.Join(filepath.Dir(d.dir), fmt.Sprintf("image-%d", d.cuts))
	if out, err := exec.Command("cp", "--sparse=always", d.image, left).CombinedOutput(); err != nil {
		d.t.Fatalf("cp: %v: %s", err, out)
	}
	if err := os.Remove(d.image); err != nil {
		d.t.Fatal(err)
	}
	d.image = left
	if err := d.mount(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *ext4) unmount() {
	if !d.mounted {
		return
	}
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		d.t.Errorf("umount: %v: %s", err, out)
	}
	d.mounted = false
}

// cut takes the power: what is not on the disk now will never be.
func (d *ext4) cut() {
	d.t.Helper()
	fd, err := unix.Open(d.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer unix.Close(fd)
	const shutdown, withoutLog = 0x8004587D, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	if err := unix.IoctlSetPointerInt(fd, shutdown, withoutLog); err != nil {
		d.t.Skipf("ext4 cannot be shut down here: %v", err)
	}
}

// lostTime is how much of the newest the README says that a power cut costs at most. A
// disk that is slower than that says itself how much it is now.
func lostTime(t *testing.T, wsURL string) time.Duration {
	t.Helper()
	const said = 1200 * time.Millisecond
	begin := time.Now()
	response, err := http.Get("http" + strings.TrimPrefix(wsURL, "ws") + "readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var ready struct {
		Age *int64 `json:"durable_age_ms"`
	}
	if err := json.NewDecoder(response.Body).Decode(&ready); err != nil || ready.Age == nil {
		t.Fatalf("/readyz: no durable_age_ms, %v", err)
	}
	return max(said, time.Duration(*ready.Age)*time.Millisecond+time.Since(begin))
}

// The power is cut at random moments, on a real file system. What was older than
// the last sync is stored afterwards, to the last bit; no number is used twice; and
// what a client that resumes has lost is reported.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	cuts := tenth(t, 30, "cuts")
	disk := newExt4(t)
	program, config := buildGateway(t), oneSensorFile(t, "")
	rnd := rand.New(rand.NewPCG(9, 10))
	s := &survivor{t: t, seen: map[uint32]wire.Reading{}}
	durable := map[uint32]wire.Reading{} // what must be there from then on
	first, next := uint32(0), uint32(0)  // number of a run, and of the run after it
	missed := 0                          // ticks that a busy machine did not make, whose numbers are never used
	for n := range cuts + 1 {
		boot := filepath.Join(t.TempDir(), "boot_id") // after a cut of power, another one
		if err := os.WriteFile(boot, fmt.Appendf(nil, "boot-%d\n", n), 0o600); err != nil {
			t.Fatal(err)
		}
		p := startGateway(t, "unshare", "-m", "--propagation", "slave", "sh", "-c", `mount --bind "$0" /proc/sys/kernel/random/boot_id; exec "$@"`, boot,
			program, "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", disk.dir)
		stored := allStored(t, p.URL)
		for seq, r := range durable {
			if stored[seq] != r && r.Fault() == wire.Good {
				t.Fatalf("after cut %d: number %d is %v, and was %v", n, seq, stored[seq], r)
			}
		}
		if n == cuts {
			break
		}
		followed := make(chan struct{})
		go func() {
			defer close(followed)
			s.follow(p.URL, func() {})
		}()
		<-time.After(time.Duration(500+rnd.IntN(3000)) * time.Millisecond)
		missed += metric(t, p.URL, "gateway_ticks_missed_total")
		old := time.Now().Add(-lostTime(t, p.URL)).UnixMilli()
		disk.cut()
		p.cmd.Process.Kill()
		<-p.exited
		<-followed
		for seq, r := range s.seen {
			if r.UnixMilli < old && seq >= first {
				durable[seq] = r
			}
			next = max(next, seq+1)
		}
		first = next
		disk.restore()
	}
	t.Logf("%d cuts: %d numbers seen, %d durable ones, %d reported lost or skipped", cuts, len(s.seen), len(durable), s.lost)
	s.wantHoles(missed)
}

// allStored returns the readings of indoor that a gateway has stored.
func allStored(t *testing.T, wsURL string) map[uint32]wire.Reading {
	t.Helper()
	u, err := url.Parse(wsURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Scheme, u.Path, u.RawQuery = "http", "/api/v1/readings", "sensor=indoor&from=0"
	request, err := http.NewRequest("GET", u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/octet-stream")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", u, response.StatusCode, err)
	}
	stored := map[uint32]wire.Reading{}
	if len(b) == 0 {
		return stored
	}
	records, err := wire.ParseRecords(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if _, twice := stored[r.Seq]; twice {
			t.Fatalf("number %d is stored twice", r.Seq)
		}
		stored[r.Seq] = r.Reading
	}
	return stored
}
