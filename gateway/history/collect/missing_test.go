package collect

import (
	"context"
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestMissing holds that what is missing is what is not there, whatever was never made, and that it is
// known after a restart.
func TestMissing(t *testing.T) {
	dir := t.TempDir()
	c, stop := running(t, dir)
	d := newDevice(rand.New(rand.NewPCG(3, 4)), "e", 3000)
	records := d.records["indoor"]
	for _, part := range [][2]int{{0, 500}, {1000, 1500}, {2500, 3000}} {
		if err := c.Append(context.Background(), "pi-1", d.blocks("indoor", part[0], part[1]), nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []Gap{{"indoor", "e", records[499].Seq, records[999].Seq}, {"indoor", "e", records[1499].Seq, records[2499].Seq}}
	check := func() {
		t.Helper()
		if got, err := c.Missing("pi-1"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	check()
	stop()
	c, stop = running(t, dir)
	defer stop()
	check()
	if err := c.Append(context.Background(), "pi-1", d.blocks("indoor", 500, 1000), nil); err != nil {
		t.Fatal(err)
	}
	want = want[1:]
	check()
	if got, err := c.Missing("pi-2"); err != nil || len(got) > 0 {
		t.Errorf("of a gateway that sent nothing: %+v, %v", got, err)
	}
}
