package history

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/journal"
)

// On a card that takes 12 ms a write, the first readings are written at once: the
// journal is filled with zeros beside them, and in the end it is a whole one.
func TestSlowCardDelaysNoReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, m := disktest.New(), newMaker(1)
		d.Fail = func(_ int, what, _ string) error {
			if what == "write" {
				d.Mu.Unlock()
				time.Sleep(12 * time.Millisecond)
				d.Mu.Lock()
			}
			return nil
		}
		var log strings.Builder
		l := open(t, Options{FS: d, Sensors: names(1), Boot: "boot", Log: textLog(&log)})
		if l.Durable() == nil {
			t.Error("readings are said to be durable before there is a journal")
		}
		l.Begin("epoch", m.next)
		stop := start(t, l)
		<-time.After(100 * time.Millisecond)
		for i := range 600 {
			if !l.Append(m.tick(), m.offset) {
				t.Fatalf("tick %d is not written within 20 ms", i)
			}
			if err := l.Durable(); err != nil {
				t.Fatalf("after tick %d: %v", i, err)
			}
			<-time.After(100 * time.Millisecond)
		}
		if !l.journal.Filled() {
			t.Error("after a minute the journal is not filled")
		}
		stop()
		if l.Late() != 0 || log.Len() > 0 {
			t.Errorf("%d readings are late; the log says %s", l.Late(), &log)
		}
		l = open(t, Options{FS: d, Sensors: names(1), Boot: "boot"})
		same(t, all(t, l.Since(0, ^uint32(0))), m.of(0))
		if l.maintainer.reusable == nil {
			t.Error("the journal cannot be continued")
		}
		l.Close()
	})
}

// A page is not written where zeros may still be on their way: they would replace it.
func TestNoPageIsWrittenWhereZerosMayCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, m := disktest.New(), newMaker(1)
		l := open(t, Options{FS: d, Sensors: names(1), Boot: "boot", pages: 64})
		l.Begin("epoch", m.next)
		l.maintain(time.Now())
		release, hung := make(chan struct{}), false
		d.Fail = func(_ int, what, _ string) error {
			if what == "write" && !hung {
				hung = true
				d.Mu.Unlock()
				<-release
				d.Mu.Lock()
			}
			return nil
		}
		filled := make(chan struct{})
		go func() { l.preallocate(); close(filled) }()
		synctest.Wait()
		for range 40 {
			l.Append(m.tick(), m.offset)
			l.write()
			if l.journal != nil {
				l.journal.Advance()
			}
		}
		if err := l.Durable(); !errors.Is(err, journal.ErrSlow) {
			t.Errorf("it is %v, want %v", err, journal.ErrSlow)
		}
		close(release)
		<-filled
		for now := range 3 {
			l.maintain(time.Now().Add(time.Duration(now) * time.Minute))
		}
		if err := l.Durable(); err != nil {
			t.Error(err)
		}
		l.Close()
		l = open(t, Options{FS: d, Sensors: names(1), Boot: "boot", pages: 64})
		same(t, all(t, l.Since(0, ^uint32(0))), m.of(0))
		l.Close()
	})
}

// Readings that Append returns before they are written are counted and logged.
func TestLateReadingsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, m := disktest.New(), newMaker(2)
		var log strings.Builder
		l := open(t, Options{FS: d, Sensors: rigSensors, Boot: "boot", Log: textLog(&log)})
		l.Begin("epoch", m.next)
		stop := start(t, l)
		<-time.After(time.Minute) // the journal is filled: from now on only pages are written
		synctest.Wait()
		if l.Late() != 0 {
			t.Fatalf("%d readings are late before there is any", l.Late())
		}
		slow := true
		d.Mu.Lock()
		d.Fail = func(_ int, what, _ string) error {
			if what == "write" && slow {
				slow = false
				d.Mu.Unlock()
				time.Sleep(55 * time.Millisecond)
				d.Mu.Lock()
			}
			return nil
		}
		d.Mu.Unlock()
		for range 5 {
			l.Append(m.tick(), m.offset)
			<-time.After(10 * time.Millisecond)
		}
		<-time.After(2 * time.Second)
		stop()
		// The first waits until 20 ms, the second from 30 to 50 ms; the disk is back at 55 ms.
		if l.Late() != 2*2 || !strings.Contains(log.String(), "readings=4 ") {
			t.Errorf("%d readings are late, want 4; the log says %s", l.Late(), &log)
		}
	})
}
