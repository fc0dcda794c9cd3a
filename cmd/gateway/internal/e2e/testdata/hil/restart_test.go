package hil

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

const stateDir = "/var/lib/gateway"

// testNextNumber: after SIGKILL the gateway continues with the next number, and a
// client that resumes misses nothing.
func testNextNumber(t *testing.T) {
	s := connect(t)
	sensor := uint16(0)
	for id, name := range s.names {
		if name == "sht" {
			sensor = id
		}
	}
	last := s.untilGood(t, "sht")
	s.untilGood(t, "sht") // this one is replayed if the gateway is back before the next tick
	pid := property(t, "MainPID")
	systemctl(t, "kill", "--signal=KILL")
	s.ended(t)

	c := dial(t)
	if now := property(t, "MainPID"); now == pid {
		t.Fatalf("process %s is still there", now)
	}
	missed := resume(t, c, sensor, s.hello.Epoch, last.Seq)
	// A missed tick uses a number, too.
	if late := missedTicks(t); missed > late {
		t.Errorf("%d numbers are missing, and %d ticks were missed", missed, late)
	}

	lines := untilLogged(t, "sht") // the lines about sequence numbers come before
	for _, lost := range []string{"skipped", "new epoch", "unclean"} {
		if strings.Contains(lines, lost) {
			t.Errorf("the gateway logged %q:\n%s", lost, lines)
		}
	}
	wantOwned(t, filepath.Join(stateDir, "log"), "gateway")
}

// resume asks for the readings after the last number of a sensor, checks the answer that
// all of them are there, and reads until the replay has reached the live readings, or until
// only live readings come for seconds: a missed tick may be between the two. It returns
// how many numbers did not come.
func resume(t *testing.T, c *websocket.Conn, sensor uint16, epoch string, last uint32) (missing int) {
	t.Helper()
	if err := c.WriteJSON(wire.Envelope{Type: "subscribe", Payload: map[string]any{
		"topic": "sensors/sht", "epoch": epoch, "since": map[string]uint32{"sht": last}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	past, live := last, uint32(0) // the newest replayed number, the first live one
	const quiet = 20              // live readings, without a replayed one
	alone := 0                    // how many there were
	for answered := false; live == 0 || past+1 != live && alone < quiet; {
		kind, msg, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("the past came up to %d, and live began with %d: %v", past, live, err)
		}
		var answer wire.Subscribed
		message := wire.Envelope{Payload: &answer}
		switch {
		case kind == websocket.TextMessage && !answered:
			if err := json.Unmarshal(msg, &message); err != nil {
				t.Fatalf("%s: %v", msg, err)
			}
			if answered = message.Type == "subscribed"; answered &&
				(answer.Recovered == nil || !*answer.Recovered || len(answer.From) > 0) {
				t.Fatalf("answer %s, want recovered: true, and nothing gone", msg)
			}
		case kind == websocket.BinaryMessage && answered:
			for _, r := range parse(t, msg) {
				switch {
				case r.Sensor != sensor:
				case r.Flags&wire.Historical != 0:
					if r.Seq <= past {
						t.Fatalf("number %d came after %d", r.Seq, past)
					}
					missing += int(r.Seq - past - 1)
					past, alone = r.Seq, 0
				default:
					if live == 0 {
						live = r.Seq
					}
					alone++
				}
			}
		}
	}
	missing += int(live - past - 1)
	t.Logf("numbers %d to %d came again, %d of them not", last+1, past, missing)
	if past == last {
		t.Error("nothing had been missed: this proves nothing")
	}
	return missing
}

// missedTicks returns how many ticks of all sensors the gateway has missed since it
// started.
func missedTicks(t *testing.T) int {
	t.Helper()
	_, metrics := get(t, "/metrics", "*/*")
	m := regexp.MustCompile(`(?m)^gateway_ticks_missed_total (\d+)$`).FindSubmatch(metrics)
	if m == nil {
		t.Fatalf("/metrics has no gateway_ticks_missed_total:\n%s", metrics)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantOwned checks that a directory has files, and that a user owns all of them.
func wantOwned(t *testing.T, dir, name string) {
	t.Helper()
	owner, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) { // finished meanwhile, and renamed
			return nil
		}
		if err != nil {
			return err
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; strconv.Itoa(int(uid)) != owner.Uid || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s: %v of user %d, want it %s's alone", path, info.Mode(), uid, name)
		}
		if !d.IsDir() {
			files++
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%s: %d files, %v", dir, files, err)
	}
}
