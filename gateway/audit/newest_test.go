package audit

import (
	"testing"
	"time"
)

// Which records are the newest is known by their order: the clock may have been ahead, or
// not synchronised yet.
func TestNewestByOrder(t *testing.T) {
	year := func(n int) int64 { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() }
	type some struct { // records
		n        int
		chain    string
		at       int64
		unsynced bool
	}
	early := some{5, Done, year(2000), true}
	for name, tt := range map[string]struct {
		written []some
		query   Query
		want    int  // records
		last    some // of them
	}{
		"the clock was ahead":              {[]some{{150, Done, year(2040), false}, {5, Done, year(2026), false}}, Query{Limit: 100}, 100, some{5, Done, year(2026), false}},
		"before it was synchronised":       {[]some{{150, Counted, year(2026), false}, {1, Done, year(2025), false}, early}, Query{Limit: 100}, 100, early},
		"the same, since a time":           {[]some{{150, Counted, year(2026), false}, {1, Done, year(2025), false}, early}, Query{Since: year(2026)}, 155, early},
		"of that time, as the next says":   {[]some{early, {1, Done, year(2026), false}}, Query{Since: year(2026)}, 6, some{1, Done, year(2026), false}},
		"before that time, as it says too": {[]some{early, {1, Done, year(2025), false}}, Query{Since: year(2026)}, 0, some{}},
		"of both chains":                   {[]some{{2, Done, year(2025), false}, {3, Counted, year(2026), false}, {1, Done, year(2026) - 1, false}}, Query{}, 6, some{3, Counted, year(2026), false}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			_, d, _ := p.opened(t, Options{})
			for _, s := range tt.written {
				for range s.n {
					if err := d.chain(s.chain).append(Record{Kind: KindCommand, At: s.at, Unsynced: s.unsynced, Result: "ok"}); err != nil {
						t.Fatal(err)
					}
				}
			}
			records, err := Read(p.dir, p.key, tt.query)
			if err != nil || len(records) != tt.want {
				t.Fatalf("%d records, want %d: %v", len(records), tt.want, err)
			}
			for i, r := range records[len(records)-tt.last.n:] {
				if r.Chain != tt.last.chain || r.At != tt.last.at || r.Unsynced != tt.last.unsynced {
					t.Errorf("record %d of the last %d: %+v", i+1, tt.last.n, r)
				}
			}
		})
	}
}
