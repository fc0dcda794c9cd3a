package history

import (
	"errors"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
)

const (
	journalMax   = 20 << 20 // bytes; an hour of 8 sensors at 10 Hz takes 14 MiB
	journalShare = 12       // a journal has at most this part of MaxBytes
	pagesMin     = 32
)

var errFull = errors.New("the journal is full: its records could not be moved to a segment")

// journal is the file of pages that is written now.
type journal struct {
	name    string
	file    disk.File
	size    int64
	page    *format.Page // that is being filled
	seq     uint64       // its number
	dirty   bool         // written to since the last sync
	synced  uint64       // the newest page that is on the disk
	through uint64       // the newest page that may be overwritten
	zeroed  uint64       // pages up to this one were filled with zeros, or are not to be
	last    uint64       // that is to be filled; 0: none
	filling bool         // those after zeroed are being filled
}

// journalPages returns how many pages a journal has.
func journalPages(maxBytes int64, pageSize int) int64 {
	return max(min(maxBytes/journalShare, journalMax)/int64(pageSize), pagesMin)
}

const (
	zerosAhead  = 16       // pages of zeros before the first is written, and at least between that and those that are filled
	zerosAtOnce = 64 << 10 // bytes
)

// createJournal creates a journal whose space is reserved, and which has a page: the one
// before its first, without events. So a journal without any page was emptied by
// something else. Its first pages are zeros; preallocate writes the others: on a slow card that takes seconds, which readings
// need not wait for.
func createJournal(fs FS, first uint64, pages int64, p *format.Page) (*journal, error) {
	j := &journal{name: format.JournalName(first), size: pages * int64(p.Size()), page: p, seq: first, through: first - 1,
		zeroed: first - 1, last: first - 2 + uint64(pages)} // the page before the first is not filled
	err := create(fs, j.name, func(f disk.File) error {
		if err := disk.Reserve(f, j.size); err != nil {
			return err
		}
		b := p.Seal(first-1, 0)
		if _, err := f.WriteAt(b, j.at(first-1)); err != nil {
			return err
		}
		for until := j.zeroed + zerosAhead; j.zeroed < min(until, j.last); {
			n := j.next()
			if err := j.zero(f, n); err != nil {
				return err
			}
			j.zeroed += n
		}
		return nil
	})
	if err == nil {
		j.file, err = fs.Open(j.name, true)
	}
	if err != nil {
		return nil, err
	}
	return j, nil
}

// next returns how many pages after zeroed to fill next.
func (j *journal) next() (n uint64) {
	n = min(max(zerosAtOnce/uint64(j.page.Size()), 1), j.pages()-(j.zeroed+1)%j.pages())
	return min(n, j.last-j.zeroed)
}

// zero fills the n pages after zeroed: where a file system has written before, a sync
// writes no metadata.
func (j *journal) zero(f disk.File, n uint64) error {
	_, err := f.WriteAt(make([]byte, int(n)*j.page.Size()), j.at(j.zeroed+1))
	return err
}

// at returns where a page is in the file.
func (j *journal) at(seq uint64) int64 { return int64(seq%j.pages()) * int64(j.page.Size()) }

func (j *journal) pages() uint64 { return uint64(j.size) / uint64(j.page.Size()) }

// write writes the page as it is now.
func (j *journal) write() error {
	if j.seq-j.through > j.pages() {
		return errFull
	}
	if j.filling && j.seq > j.zeroed {
		return errSlow // zeros would be written over it
	}
	b := j.page.Seal(j.seq, j.synced)
	j.dirty = true
	_, err := j.file.WriteAt(b, j.at(j.seq))
	return err
}

// advance begins the next page, unless this one is empty.
func (j *journal) advance() {
	if n := j.page.Events(); n > 0 {
		j.seq++
		j.page.Reset()
		j.page.Before = n
	}
}

// used is the part of the ring that must not be overwritten.
func (j *journal) used() float64 { return float64(j.seq-j.through) / float64(j.pages()) }
