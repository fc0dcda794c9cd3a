// Package benchstore compares gateway/history with other stores that could keep the
// readings. It is a module of its own, so that the program does not depend on them.
//
//	BENCHSTORE=/mnt/sd go test -v -timeout 1h .
//
// The directory should be on a disk of its own: the kernel's counter of the whole disk
// is read.
package benchstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite"

	"sensorgateway/gateway/history"
	"sensorgateway/wire"
)

const (
	seconds = 3600
	sensors = 8
	rate    = 10 // readings a second and sensor
)

// result is what an hour cost.
type result struct {
	name    string
	written int64 // bytes, to the disk
	kept    int64 // bytes of files, without those that exist from the start
	worst   time.Duration
}

// wait returns the longest commit, for stores in which readings wait for it.
func (r result) wait() string {
	if r.worst == 0 {
		return "nobody waits"
	}
	return r.worst.Round(time.Millisecond).String()
}

func TestStores(t *testing.T) {
	root := os.Getenv("BENCHSTORE")
	if root == "" {
		t.Skip("BENCHSTORE names no directory")
	}
	var table strings.Builder
	table.WriteString("| store, a durable commit a second | GB a day | bytes a reading | worst commit |\n|---|---|---|---|\n")
	for _, store := range []struct {
		name string
		run  func(t *testing.T, dir string, begun func()) (kept int64, worst time.Duration)
	}{{"gateway/history", logHour}, {"bbolt, a second's readings a value", boltHour}, {"SQLite (WAL), a row a reading", sqliteHour}} {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		var before int64
		kept, worst := store.run(t, dir, func() {
			syscall.Sync()
			before = written(t, root)
		})
		syscall.Sync()
		r := result{store.name, written(t, root) - before, kept, worst}
		fmt.Fprintf(&table, "| %s | %.2f | %.1f | %s |\n", r.name, float64(r.written)*24/1e9, float64(r.kept)/(seconds*sensors*rate), r.wait())
		os.RemoveAll(dir)
	}
	t.Log("\n" + table.String())
}

// written returns how many bytes were written to the disk of a directory.
func written(t *testing.T, dir string) int64 {
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	dev := uint64(info.Sys().(*syscall.Stat_t).Dev)
	stat, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", dev>>8&0xFFF, dev&0xFF|dev>>12&0xFFF00))
	if err != nil {
		t.Fatal(err)
	}
	var sectors int64
	if _, err := fmt.Sscan(strings.Fields(string(stat))[6], &sectors); err != nil {
		t.Fatal(err)
	}
	return sectors * 512
}

func size(t *testing.T, dir string) (n int64) {
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			info, err := e.Info()
			n += info.Size()
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// source makes the same hour for all stores: 16-bit codes, as those of an SHT3x.
type source struct {
	rnd *rand.Rand
	seq uint32
	at  int64
}

func newSource() *source { return &source{rand.New(rand.NewPCG(1, 2)), 0, 1_700_000_000_000} }

func (s *source) tick() []wire.Record {
	records := make([]wire.Record, sensors)
	x := float64(s.at) / 1000
	for i := range records {
		celsius := 22 + math.Sin(x/40+float64(i)) + 0.013*s.rnd.NormFloat64()
		humidity := 45 + 3*math.Sin(x/60+float64(i)) + 0.027*s.rnd.NormFloat64()
		records[i] = wire.Record{Sensor: uint16(i), Seq: s.seq, Reading: wire.Reading{
			Values: [2]float32{
				float32(-45 + 175*math.Round((celsius+45)/175*65535)/65535),
				float32(100 * math.Round(humidity/100*65535) / 65535),
			},
			UnixMilli: s.at,
		}}
	}
	s.seq, s.at = s.seq+1, s.at+1000/rate
	return records
}

// logHour runs the log for an hour of a fake clock. The creation of its journal, which
// happens once and not each hour, is not counted.
func logHour(t *testing.T, dir string, begun func()) (kept int64, worst time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		l, err := history.Open(history.Options{Dir: dir, Sensors: []string{"0", "1", "2", "3", "4", "5", "6", "7"}, MaxAge: math.MaxInt64})
		if err != nil {
			t.Fatal(err)
		}
		s := newSource()
		l.Begin("epoch", make([]uint32, sensors))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		synctest.Wait()
		journal := size(t, dir)
		begun()
		tick := time.NewTicker(time.Second / rate)
		for range (seconds + 5) * rate { // the segment is written after the hour
			<-tick.C
			l.Append(s.tick(), 0)
		}
		cancel()
		<-done
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		kept = size(t, dir) - journal
	})
	return kept, 0
}

// chunk is a second's readings as they are sent.
func (s *source) chunk() []byte {
	var b bytes.Buffer
	for range rate {
		for _, r := range s.tick() {
			b.Write(r.Append(nil))
		}
	}
	return b.Bytes()
}

func boltHour(t *testing.T, dir string, begun func()) (kept int64, worst time.Duration) {
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newSource()
	begun()
	for i := range seconds {
		begin := time.Now()
		err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("readings"))
			if err != nil {
				return err
			}
			b.FillPercent = 1 // keys only grow
			return b.Put(binary.BigEndian.AppendUint64(nil, uint64(i)), s.chunk())
		})
		if err != nil {
			t.Fatal(err)
		}
		worst = max(worst, time.Since(begin))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return size(t, dir), worst
}

func sqliteHour(t *testing.T, dir string, begun func()) (kept int64, worst time.Duration) {
	db, err := sql.Open("sqlite", filepath.Join(dir, "db")+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("create table readings (at integer, sensor integer, seq integer, temperature real, humidity real)"); err != nil {
		t.Fatal(err)
	}
	s := newSource()
	begun()
	for range seconds {
		begin := time.Now()
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		insert, err := tx.Prepare("insert into readings values (?, ?, ?, ?, ?)")
		if err != nil {
			t.Fatal(err)
		}
		for range rate {
			for _, r := range s.tick() {
				if _, err := insert.Exec(r.Sensor, r.Seq, r.UnixMilli, r.Values[0], r.Values[1]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		worst = max(worst, time.Since(begin))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return size(t, dir), worst
}
