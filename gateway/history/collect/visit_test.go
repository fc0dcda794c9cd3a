package collect

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilent holds that the hours of a gateway that has sent nothing since the start
// become days, also the last one, and that nothing of it is kept in memory then, unless
// it is read meanwhile.
func TestSilent(t *testing.T) {
	for _, read := range []bool{false, true} {
		c := newClimate(t, Options{}, time.Minute)
		c.from = time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC).UnixMilli() // the clock below begins in 2000
		c.hours(t, 47, nil)
		want := c.sums(t)
		c.stop()
		synctest.Test(t, func(t *testing.T) {
			running, err := Open(c.o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- running.Run(ctx) }()
			l := running.log("pi-1")
			files := 47
			for n := 0; files != 2 && n < 120; n++ {
				<-time.After(time.Minute)
				synctest.Wait()
				if read && n == 15 {
					reader(t, running, "pi-1", "e")
				}
				files, _, _ = c.files()
			}
			<-time.After(25 * time.Hour) // it is visited again
			synctest.Wait()
			if after, _, _ := c.files(); files != 2 || after != 2 || l.loaded != read {
				t.Errorf("%d files, and %d a day later; read: %t, loaded: %t", files, after, read, l.loaded)
			}
			if _, size, _ := c.files(); running.Size() != size {
				t.Errorf("%d bytes, %d are known", size, running.Size())
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		c.again(t)
		if got := c.sums(t); got != want {
			t.Errorf("records and checksums %d, before merging %d", got, want)
		}
	}
}
