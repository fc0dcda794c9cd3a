// Package recovery reads the directory of a log at the start: what is in segments, and
// what is only in journals. It finds what is missing, whatever happened to the files,
// and places each file by what is in it.
//
// It does not write readings, and knows no reader; what cannot be used it sets aside.
package recovery

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// Damage is stored readings that are lost, although they had been synced.
type Damage struct {
	Reason   string
	Readings int // at least so many; 0: not known
}

// Lose counts more readings, as far as an int can: on a machine of 32 bits it has half of a
// sensor's numbers.
func (d *Damage) Lose(n int64) { d.Readings = int(min(int64(d.Readings)+n, math.MaxInt)) }

// Options say what to read, and how.
type Options struct {
	FS              FS
	Log             *slog.Logger
	ReadOnly        bool // the directory must not be changed
	UnreadableFails bool // else a file that cannot be read is set aside
	Collected       bool // by package collect: there is no journal, and merging skips numbers of segments
}

// Found is what was found in a directory.
type Found struct {
	Index       *index.Index
	Journals    []Journal   // oldest first
	NextSegment uint64      // number of the next segment
	LastPage    uint64      // the newest page that was ever written
	LastEvents  int         // length of its events, if it is there
	Through     uint64      // the newest page whose records are all in segments
	Aside       []disk.Info // the files that are set aside
	Doubles     []Double    // the segments that are not used, for their records are in others
	Damages     []Damage
	Tail        bool // the last of Damages is of the newest records
	Torn        bool // pages cannot be used, which a power cut may have left half written
	Values      values.Table
	ValuesErr   error // why it cannot be read
	ValuesSize  int64 // of its file
}

// Journal is a journal on the disk.
type Journal struct {
	Name string
	format.Journal
}

// end is the newest page of a journal, whatever its name: a copy may have another.
func (j Journal) end() uint64 {
	if len(j.Pages) == 0 {
		return j.First - min(j.First, 1)
	}
	return j.Newest
}

// Empty returns whether there is no file of a log.
func (f *Found) Empty() bool {
	return len(f.Journals)+len(f.Index.Segments)+len(f.Aside)+len(f.Damages) == 0
}

// recovery reads a directory.
type recovery struct {
	Options
	Found
	missing  int               // pages whose records are lost
	segments []placed          // in the order of their names, then of their content
	asideNow map[string]string // why this recovery set files aside, by their names
}

// Read reads the directory. It fails if that is not possible now. Damage is logged,
// and costs what is damaged.
func Read(o Options) (*Found, error) {
	r := &recovery{Options: o, Found: Found{Index: index.New()}, asideNow: map[string]string{}}
	if err := r.read(); err != nil {
		return nil, err
	}
	return &r.Found, nil
}

func (r *recovery) read() error {
	r.Aside, _ = Aside(r.FS) // a segment that is there is not missing; an error is said at the end
	if !r.ReadOnly {
		if err := r.removeUnfinished(); err != nil {
			return err
		}
	}
	// Journals first: what another process moves to a segment meanwhile is then
	// found in both, and used once.
	if err := r.eachFile(format.JournalSuffix, r.findJournal); err != nil {
		return err
	}
	slices.SortStableFunc(r.Journals, func(a, b Journal) int { return cmp.Compare(a.end(), b.end()) })
	if err := r.eachFile(format.SegmentSuffix, r.findSegment); err != nil {
		return err
	}
	if err := r.readValues(); err != nil { // another process writes them before their records
		return err
	}
	if err := r.placeSegments(); err != nil {
		return err
	}
	r.Through = r.Index.Through()
	r.LastPage = max(r.LastPage, r.Through)
	if !r.Collected {
		r.replay()
		r.checkJournal()
	}
	var err error
	if r.Aside, err = Aside(r.FS); err != nil {
		r.Log.Warn("the files that were set aside cannot be listed, and are not counted", "err", err)
	}
	return nil
}

// removeUnfinished removes files whose creation a crash interrupted.
func (r *recovery) removeUnfinished() error {
	files, err := disk.Retry(func() ([]disk.Info, error) { return r.FS.List("") })
	for _, f := range files {
		if strings.HasSuffix(f.Name, format.SegmentSuffix+atomicfile.TempSuffix) || strings.HasSuffix(f.Name, format.JournalSuffix+atomicfile.TempSuffix) || f.Name == values.FileName+atomicfile.TempSuffix {
			if err := r.FS.Remove(f.Name); err != nil {
				r.Log.Warn("an unfinished file cannot be removed", "file", f.Name, "err", err)
			}
		}
	}
	return err
}

// eachFile calls take for all files with a suffix, in the order of their numbers.
func (r *recovery) eachFile(suffix string, take func(f disk.File, info disk.Info, number uint64) error) error {
	files, err := disk.Retry(func() ([]disk.Info, error) { return r.FS.List("") })
	if err != nil {
		return err
	}
	for _, info := range files {
		hex, ok := strings.CutSuffix(info.Name, suffix)
		number, err := strconv.ParseUint(hex, 16, 64)
		if !ok || err != nil || len(hex) != 16 {
			continue
		}
		f, err := disk.Retry(func() (disk.File, error) { return r.FS.Open(info.Name, false) })
		if err == nil {
			err = errors.Join(take(f, info, number), f.Close())
		}
		if err != nil && r.UnreadableFails {
			return err
		}
		if err != nil {
			if err := r.setAside(info.Name, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *recovery) findJournal(f disk.File, info disk.Info, number uint64) error {
	if info.Size > format.JournalMax {
		return r.setAside(info.Name, fmt.Errorf("no journal has %d bytes", info.Size))
	}
	j := Journal{info.Name, format.ReadJournal(f, number, info.Size)}
	if len(j.Pages) == 0 && len(j.Bad) > 0 && !j.Newer {
		return r.setAside(info.Name, errors.New("it has no page"))
	}
	r.LastPage = max(r.LastPage, j.Newest)
	if len(j.Bad) > 0 {
		r.Torn = true
		r.Log.Warn("pages of the journal are damaged, or a power cut interrupted their write", "file", info.Name, "pages", len(j.Bad))
	}
	if j.Newer { // its pages of this version are used before it is set aside; its name stays its own until then
		r.LastPage = max(r.LastPage, number+uint64(info.Size>>format.PageShift))
		r.report(info.Name, format.ErrVersion)
		r.Log.Warn("pages of a journal were written by a newer version: those of this one are used, and the journal is set aside", "file", info.Name)
	}
	r.Journals = append(r.Journals, j)
	return nil
}

func (r *recovery) findSegment(f disk.File, info disk.Info, number uint64) error {
	s, damage, err := format.ReadSegment(f, info.Size)
	if errors.Is(err, format.ErrVersion) {
		return r.setAside(info.Name, err)
	}
	if err != nil {
		return err
	}
	if damage != nil {
		if len(s.Chapters) == 0 {
			return r.setAside(info.Name, damage)
		}
		r.Log.Warn("a file of readings is damaged: the blocks of it that are intact are used", "file", info.Name, "err", damage)
	}
	r.segments = append(r.segments, placed{index.NewSegment(info.Name, number, s), s.Through > 0 || damage == nil, damage != nil})
	return nil
}

// placed is a segment.
type placed struct {
	*index.Segment
	known   bool // its directory says where it belongs
	damaged bool // and its blocks were searched for
}

// placeSegments loads the segments in the order in which they were written, whatever
// their names: each says how many pages of the journal were sealed then. One that
// does not is placed by its number. A second one of the same content is set aside.
func (r *recovery) placeSegments() error {
	r.dropDoubles()
	var through uint64
	for i := range r.segments {
		s := &r.segments[i]
		if s.known {
			through = s.Through
		} else {
			s.Through = through
		}
	}
	byName := slices.Clone(r.segments)
	slices.SortStableFunc(r.segments, func(a, b placed) int { return cmp.Compare(a.Through, b.Through) })
	for i := range r.segments {
		r.orderCopy(i + 1)
		s := r.segments[i]
		if i > 0 && s.SameAs(r.segments[i-1].Segment) {
			if err := r.setAside(s.Name, fmt.Errorf("%s has the same readings", r.segments[i-1].Name)); err != nil {
				return err
			}
			r.countCopy(i)
			continue
		}
		if s.Segment != byName[i].Segment {
			r.Log.Warn("a file of readings has the name of another: it is used by its content", "file", s.Name)
		}
		r.NextSegment = max(r.NextSegment, s.Number+1)
		r.Index.Load(s.Segment)
	}
	if !r.Collected {
		r.checkGaps(byName)
	}
	r.checkSegments()
	return nil
}

func (r *recovery) setAside(name string, why error) error {
	if r.ReadOnly {
		return nil
	}
	to, err := SetAside(r.FS, name)
	if err != nil {
		return err
	}
	r.Log.Warn("a file of readings is set aside", "file", name, "as", to, "why", why)
	r.report(name, why)
	r.asideNow[name] = r.Damages[len(r.Damages)-1].Reason
	return nil
}

// report notes that a file is set aside.
func (r *recovery) report(name string, why error) {
	r.Damages = append(r.Damages, Damage{Reason: fmt.Sprintf("%s is set aside: %v", name, why)})
}

// replay adds to the index the records of the journals that are in no segment.
func (r *recovery) replay() {
	var pages []format.PageHead
	for _, j := range r.Journals {
		if !j.Newer {
			r.missing += j.Missing(r.Through)
		}
		for _, p := range j.Pages {
			if p.Seq > r.Through && len(p.Events) > 0 {
				pages = append(pages, p)
			}
		}
	}
	slices.SortStableFunc(pages, func(a, b format.PageHead) int { return cmp.Compare(a.Seq, b.Seq) })
	have := r.sealed()
	expected, before := r.Through+1, format.NotKnown
	r.LastEvents = format.NotKnown
	var current format.Run
	var description []byte
	var sensors []unsealed
	for _, p := range pages {
		if p.Seq > expected || before != format.NotKnown && p.Before != format.NotKnown && p.Before != before { // pages or ticks between them are lost
			for _, t := range r.Index.Streams {
				t.Gap = true
			}
		}
		expected, before = p.Seq+1, len(p.Events)
		if p.Seq == r.LastPage {
			r.LastEvents = before
		}
		if description == nil || !slices.Equal(description, p.Run) {
			run, ok := format.ParseRun(p.Run)
			if !ok { // its checksum matches, so the error is the writer's
				r.lose(fmt.Sprintf("page %d of the journal does not say of which sensors it is", p.Seq), 0)
				continue
			}
			current, description, sensors = run, p.Run, sensors[:0]
			for _, name := range current.Sensors {
				last, ok := have[sensorEpoch{name, current.Epoch}]
				sensors = append(sensors, unsealed{name: name, last: last, any: !ok})
			}
		}
		err := p.Replay(len(current.Sensors), func(next []uint32) {
			for i, n := range next {
				if t := sensors[i].stream(r.Index, n); t != nil {
					t.Begin(current.Epoch, n)
				}
			}
		}, func(records []wire.Record, offset int64) {
			for _, rec := range records {
				if t := sensors[rec.Sensor].stream(r.Index, rec.Seq); t != nil {
					r.Index.Add(t, current.Epoch, current.Boot, rec, offset)
				}
			}
		})
		if err != nil {
			r.lose(fmt.Sprintf("page %d of the journal cannot be used: %v", p.Seq, err), 0)
		}
	}
}

// unsealed tells which numbers of a sensor's epoch are in no segment.
type unsealed struct {
	name  string
	last  uint32 // the newest one in a segment
	any   bool   // none is
	known *index.Stream
}

// stream returns where a number that is in no segment belongs; nil if it is in one.
func (u *unsealed) stream(in *index.Index, n uint32) *index.Stream {
	if !u.any && !wire.Before(u.last, n) {
		return nil
	}
	if u.known == nil {
		u.known = in.Stream(u.name)
	}
	return u.known
}

// sensorEpoch is an epoch of a sensor.
type sensorEpoch struct{ sensor, epoch string }

// sealed returns the newest number in segments of each sensor and epoch.
func (r *recovery) sealed() map[sensorEpoch]uint32 {
	have := map[sensorEpoch]uint32{}
	for name, t := range r.Index.Streams {
		for _, c := range t.Chapters {
			key := sensorEpoch{name, c.Origin.Epoch}
			if last, ok := have[key]; !ok || wire.Before(last, c.Last) {
				have[key] = c.Last
			}
		}
	}
	return have
}
