package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

// lostTime is the time of readings that a power cut loses at most, as the README says. With
// a slower disk, the gateway itself reports how much it is.
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
	t.Run("ext4", func(t *testing.T) {
		t.Parallel()
		powerCuts(t, newExt4(t))
	})
	t.Run("ext2", func(t *testing.T) { // which has no journal
		t.Parallel()
		powerCuts(t, newFileSystem(t, "ext2", "mkfs.ext2", "-q"))
	})
	t.Run("vfat", func(t *testing.T) { // the same, and a rename moves what a sync of the file wrote
		t.Parallel()
		powerCuts(t, newFileSystem(t, "vfat", "mkfs.vfat"))
	})
}

func powerCuts(t *testing.T, disk *fileSystem) {
	cuts := tenth(t, 30, "cuts")
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
		if out := p.Output(); strings.Contains(out, "set aside") {
			t.Errorf("after cut %d a file is damaged: %s", n, out)
		}
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
		disk.cut(p)
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
