package collect

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"sensorgateway/gateway/history/codec"
)

// TestMissing holds that what is not there is missing, but not what was never made, and
// that this is known after a restart.
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

// TestSummarised holds that what is known by its summary alone is not missing, that it is found by
// time and by number as long as not all of it is there, and that none is found twice.
func TestSummarised(t *testing.T) {
	dir := t.TempDir()
	c, stop := running(t, dir)
	d := newDevice(rand.New(rand.NewPCG(5, 6)), "e", 3000)
	records := d.records["outdoor"]
	said := d.blocks("outdoor", 1000, 2000)
	appendAll(t, c, "pi-1", d.blocks("outdoor", 0, 900))
	summariseAll(t, c, "pi-1", said)
	summariseAll(t, c, "pi-1", said) // again
	var all []Gap
	for _, raw := range said {
		b, _, err := codec.ParseBlock(raw)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Gap{"outdoor", "e", b.Summary.First - 1, b.Summary.Last})
	}
	check := func(what string, got []Gap, err error, want []Gap) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
	}
	checkAll := func(want []Gap) {
		t.Helper()
		r := reader(t, c, "pi-1", "e")
		got, err := r.Summarised(1, 0, 1<<60)
		check("of all times", got, err, want)
		n := len(want) / 2
		got, err = r.SummarisedSince(1, want[n].Since)
		check("by number", got, err, want[n:])
	}
	checkAll(all)
	got, err := c.Missing("pi-1")
	check("missing", got, err, nil)
	r := reader(t, c, "pi-1", "e")
	at := records[1200].UnixMilli
	if got, err := r.Summarised(1, at, at+1); err != nil || len(got) != 1 || !before(got[0].Since, records[1200].Seq) || before(got[0].Until, records[1200].Seq) {
		t.Errorf("of a moment: %+v, %v", got, err)
	}
	for _, x := range [][2]int64{{0, records[1000].UnixMilli}, {records[1999].UnixMilli + 1, 1 << 60}} {
		got, err := r.Summarised(1, x[0], x[1])
		check("of other times", got, err, nil)
	}
	got, err = reader(t, c, "pi-1", "e2").SummarisedSince(1, 0)
	check("of another epoch", got, err, nil)
	got, err = r.Summarised(0, 0, 1<<60)
	check("of another sensor", got, err, nil)
	got, err = r.Summarised(9, 0, 1<<60)
	check("of none", got, err, nil)

	appendAll(t, c, "pi-1", said[len(said)-1:]) // as when it was asked for
	appendAll(t, c, "pi-1", d.blocks("outdoor", 2500, 3000))
	all = all[:len(all)-1]
	for _, when := range []string{"then", "after a restart"} {
		checkAll(all)
		gaps := []Gap{{"outdoor", "e", records[899].Seq, records[1000].Seq - 1}, {"outdoor", "e", records[1999].Seq, records[2500].Seq - 1}}
		if got, err = c.Missing("pi-1"); err == nil && len(got) > 2 {
			got = slices.DeleteFunc(got, func(g Gap) bool { return g.Until-g.Since == 1 }) // numbers that were never made, which heads do not say
		}
		check("missing "+when, got, err, gaps)
		stop()
		c, stop = running(t, dir)
	}
	first, _, err := codec.ParseBlock(said[0])
	if err != nil {
		t.Fatal(err)
	}
	half := int(first.Summary.Last-first.Summary.First) / 2
	appendAll(t, c, "pi-1", d.blocks("outdoor", 1000, 1000+half)) // a part of it
	checkAll(all)
	appendAll(t, c, "pi-1", said)
	got, err = reader(t, c, "pi-1", "e").Summarised(1, 0, 1<<60)
	check("when all has come", got, err, nil)
	stop()
}
