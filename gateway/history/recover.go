package history

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/wire"
)

// recovery reads a directory, and is what it found.
type recovery struct {
	index       *index.Index
	journals    []found     // oldest first
	nextSegment uint64      // number of the next segment
	lastPage    uint64      // the newest page that was ever written
	lastEvents  int         // length of its events, if it is there
	through     uint64      // the newest page whose records are all in segments
	damaged     int         // pages, blocks and directories that were found to be damaged
	missing     int         // pages whose records are lost
	aside       []disk.Info // the files that are set aside
	segments    []placed    // in the order of their names, then of their content
	asideNow    []string    // names of those that this recovery set aside
	damages     []Damage
	tail        bool // the last of damages is of the newest records

	fs              FS
	log             *slog.Logger
	unreadableFails bool                               // else a file that cannot be read is set aside
	moveAside       func(name string, why error) error // nil: the directory must not be changed
}

// found is a journal on the disk.
type found struct {
	name string
	format.Journal
}

// recover reads the directory. It fails if that is not possible now. Damage is
// logged, and costs what is damaged.
func (r *recovery) recover() error {
	r.index = index.New()
	if r.moveAside != nil {
		if err := r.removeUnfinished(); err != nil {
			return err
		}
	}
	// Journals first: what another process moves to a segment meanwhile is then
	// found in both, and used once.
	if err := r.eachFile(journalSuffix, r.findJournal); err != nil {
		return err
	}
	if err := r.eachFile(segmentSuffix, r.findSegment); err != nil {
		return err
	}
	if err := r.placeSegments(); err != nil {
		return err
	}
	r.through = r.index.Through()
	r.lastPage = max(r.lastPage, r.through)
	r.replay()
	r.checkJournal()
	return nil
}

// removeUnfinished removes files whose creation a crash interrupted.
func (r *recovery) removeUnfinished() error {
	files, err := disk.Retry(func() ([]disk.Info, error) { return r.fs.List("") })
	for _, f := range files {
		if strings.HasSuffix(f.Name, segmentSuffix+atomicfile.TempSuffix) || strings.HasSuffix(f.Name, journalSuffix+atomicfile.TempSuffix) {
			if err := r.fs.Remove(f.Name); err != nil {
				r.log.Warn("an unfinished file cannot be removed", "file", f.Name, "err", err)
			}
		}
	}
	return err
}

// eachFile calls take for all files with a suffix, in the order of their numbers.
func (r *recovery) eachFile(suffix string, take func(f disk.File, info disk.Info, number uint64) error) error {
	files, err := disk.Retry(func() ([]disk.Info, error) { return r.fs.List("") })
	if err != nil {
		return err
	}
	for _, info := range files {
		hex, ok := strings.CutSuffix(info.Name, suffix)
		number, err := strconv.ParseUint(hex, 16, 64)
		if !ok || err != nil || len(hex) != 16 {
			continue
		}
		f, err := disk.Retry(func() (disk.File, error) { return r.fs.Open(info.Name, false) })
		if err == nil {
			err = errors.Join(take(f, info, number), f.Close())
		}
		if err != nil && r.unreadableFails {
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
	j := found{info.Name, format.ReadJournal(f, number, info.Size)}
	if len(j.Pages) == 0 && len(j.Bad) > 0 && !j.Newer {
		return r.setAside(info.Name, errors.New("it has no page"))
	}
	r.lastPage = max(r.lastPage, j.Newest)
	if len(j.Bad) > 0 {
		r.damaged += len(j.Bad)
		r.log.Warn("pages of the journal are damaged, or a power cut interrupted their write", "file", info.Name, "pages", len(j.Bad))
	}
	if j.Newer { // its pages of this version are used before it is set aside; its name stays its own until then
		r.lastPage = max(r.lastPage, number+uint64(info.Size>>format.PageShift))
		r.report(info.Name, format.ErrVersion)
		r.log.Warn("pages of a journal were written by a newer version: those of this one are used, and the journal is set aside", "file", info.Name)
	}
	r.journals = append(r.journals, j)
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
		r.damaged++
		if len(s.Chapters) == 0 {
			return r.setAside(info.Name, damage)
		}
		r.log.Warn("a file of readings is damaged: the blocks of it that are intact are used", "file", info.Name, "err", damage)
	}
	r.nextSegment = max(r.nextSegment, number+1)
	r.segments = append(r.segments, placed{index.NewSegment(info.Name, number, s), s.Through > 0 || damage == nil})
	return nil
}

// placed is a segment, and whether its directory says where it belongs.
type placed struct {
	*index.Segment
	known bool
}

// placeSegments loads the segments in the order in which they were written, whatever
// their names: each says how many pages of the journal were sealed then. One that
// does not is placed by its number. A second one of the same content is set aside.
func (r *recovery) placeSegments() error {
	r.checkGaps()
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
	for i, s := range r.segments {
		if i > 0 && s.SameAs(r.segments[i-1].Segment) {
			if err := r.setAside(s.Name, fmt.Errorf("%s has the same readings", r.segments[i-1].Name)); err != nil {
				return err
			}
			continue
		}
		if s.Segment != byName[i].Segment {
			r.log.Warn("a file of readings has the name of another: it is used by its content", "file", s.Name)
		}
		r.index.Load(s.Segment)
	}
	return nil
}

func (r *recovery) setAside(name string, why error) error {
	if r.moveAside == nil {
		return nil
	}
	if err := r.moveAside(name, why); err != nil {
		return err
	}
	r.asideNow = append(r.asideNow, name)
	r.report(name, why)
	return nil
}

// report notes that a file is set aside.
func (r *recovery) report(name string, why error) {
	r.damages = append(r.damages, Damage{Reason: fmt.Sprintf("%s is set aside: %v", name, why)})
}

// replay adds to the index the records of the journals that are in no segment.
func (r *recovery) replay() {
	var pages []format.PageHead
	for _, j := range r.journals {
		if !j.Newer {
			r.missing += j.Missing(r.through)
		}
		for _, p := range j.Pages {
			if p.Seq > r.through {
				pages = append(pages, p)
			}
		}
	}
	slices.SortFunc(pages, func(a, b format.PageHead) int { return cmp.Compare(a.Seq, b.Seq) })
	have := r.sealed()
	expected, before := r.through+1, format.NotKnown
	r.lastEvents = format.NotKnown
	var current format.Run
	var description []byte
	for _, p := range pages {
		if p.Seq > expected || before != format.NotKnown && p.Before != format.NotKnown && p.Before != before { // pages or ticks between them are lost
			for _, t := range r.index.Streams {
				t.Gap = true
			}
		}
		expected, before = p.Seq+1, len(p.Events)
		if p.Seq == r.lastPage {
			r.lastEvents = before
		}
		if description == nil || !slices.Equal(description, p.Run) {
			var ok bool
			if current, ok = format.ParseRun(p.Run); !ok {
				r.damaged++
				continue
			}
			description = p.Run
		}
		err := p.Replay(len(current.Sensors), func(next []uint32) {
			for i, n := range next {
				name := current.Sensors[i]
				if last, ok := have[sensorEpoch{name, current.Epoch}]; !ok || wire.Before(last, n) {
					r.index.Stream(name).Begin(current.Epoch, n)
				}
			}
		}, func(records []wire.Record, offset int64) {
			for _, rec := range records {
				name := current.Sensors[rec.Sensor]
				if last, ok := have[sensorEpoch{name, current.Epoch}]; !ok || wire.Before(last, rec.Seq) {
					r.index.Add(r.index.Stream(name), current.Epoch, current.Boot, rec, offset)
				}
			}
		})
		if err != nil { // its checksum matches, so the error is the writer's
			r.damaged++
			r.log.Warn("a page of the journal cannot be parsed", "page", p.Seq, "err", err)
		}
	}
}

// checkGaps notices segments whose numbers are missing.
func (r *recovery) checkGaps() {
	for i := 1; i < len(r.segments); i++ {
		g, before := r.segments[i].Segment, r.segments[i-1].Segment
		number := before.Number + 1
		for number < g.Number && slices.ContainsFunc(r.aside, func(f disk.Info) bool {
			return strings.HasPrefix(f.Name, damagedDir+"/"+segmentName(number))
		}) {
			number++
		}
		if number >= g.Number || g.Through < before.Through {
			continue
		}
		if n := len(r.damages); n > 0 && slices.Contains(r.asideNow, segmentName(number)) {
			r.damages[n-1].Readings += before.Between(g)
			continue
		}
		r.lose(fmt.Sprintf("segment %s is missing", segmentName(number)), before.Between(g))
	}
}

// checkJournal notices that the journal does not have what it must have.
func (r *recovery) checkJournal() {
	const unsynced = 4 // pages at most that a power cut loses of those that a segment has
	if r.missing > 0 {
		r.lose(fmt.Sprintf("%d pages of the journal are damaged, empty or of an earlier time", r.missing), r.index.Gaps)
	}
	n := len(r.journals)
	switch {
	case n > 0 && r.journals[n-1].Newer:
	case n == 0 && len(r.index.Segments) == 0:
		return
	case n == 0:
		r.lose("the journal is missing", 0)
	case len(r.journals[n-1].Pages) == 0 && len(r.journals[n-1].Bad) == 0 && r.journals[n-1].First <= r.through:
		r.lose(fmt.Sprintf("the journal %s is empty", r.journals[n-1].name), 0)
	case len(r.journals[n-1].Pages) > 0 && r.journals[n-1].Newest+unsynced < r.through:
		r.lose(fmt.Sprintf("the journal %s is of an earlier time", r.journals[n-1].name), 0)
	case r.missing == 0 && r.index.Gaps > 0 && r.journals[0].Overwritten() > r.through:
		r.lose("the newest segment is missing", r.index.Gaps)
		return
	default:
		return
	}
	r.tail = true
}

// lose notes and logs damage.
func (r *recovery) lose(reason string, readings int) {
	r.damages = append(r.damages, Damage{reason, readings})
	r.log.Warn("stored readings are lost", "why", reason, "readings", readings)
}

// sensorEpoch is an epoch of a sensor.
type sensorEpoch struct{ sensor, epoch string }

// sealed returns the newest number in segments of each sensor and epoch.
func (r *recovery) sealed() map[sensorEpoch]uint32 {
	have := map[sensorEpoch]uint32{}
	for name, t := range r.index.Streams {
		for _, c := range t.Chapters {
			key := sensorEpoch{name, c.Origin.Epoch}
			if last, ok := have[key]; !ok || wire.Before(last, c.Last) {
				have[key] = c.Last
			}
		}
	}
	return have
}

// setAside moves a file to the directory "damaged". It returns an error also if a
// power cut may undo that.
func setAside(fs FS, name string) (to string, err error) {
	there, err := fs.List(damagedDir)
	if err != nil {
		return "", err
	}
	base := name
	for n := 1; slices.ContainsFunc(there, func(f disk.Info) bool { return f.Name == base }); n++ {
		base = fmt.Sprintf("%s.%d", name, n)
	}
	to = damagedDir + "/" + base
	if err := fs.Rename(name, to); err != nil {
		return "", err
	}
	return to, errors.Join(fs.SyncDir(damagedDir), fs.SyncDir(""))
}

// listAside returns what setAside has moved, with the lowest numbers first, and
// leaves out other files.
func listAside(dir FS) ([]disk.Info, error) {
	files, err := disk.Retry(func() ([]disk.Info, error) { return dir.List(damagedDir) })
	var ours []disk.Info
	for _, f := range files {
		if strings.Contains(f.Name, segmentSuffix) || strings.Contains(f.Name, journalSuffix) {
			ours = append(ours, disk.Info{Name: damagedDir + "/" + f.Name, Size: f.Size})
		}
	}
	return ours, err
}
