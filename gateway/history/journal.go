package history

import (
	"errors"
	"fmt"
)

const (
	journalSuffix = ".journal"
	segmentSuffix = ".segment"
	tempSuffix    = ".new"
	damagedDir    = "damaged"

	journalMax   = 20 << 20 // bytes; an hour of 8 sensors at 10 Hz takes 14 MiB
	journalShare = 12       // of all the space, one in so many bytes at most
	pagesMin     = 32
)

var errFull = errors.New("the journal is full, for its records could not be moved to a segment")

// journal is a file of pages used as a ring. Its owner's lock guards it.
type journal struct {
	name    string
	file    File
	size    int64
	page    *page  // being filled
	seq     uint64 // its number
	written bool   // something was, since the last sync
	synced  uint64 // the newest page that is on the disk
	through uint64 // the newest page that may be written over
}

// journalPages returns how many pages a journal has.
func journalPages(maxBytes int64, pageSize int) int64 {
	return max(min(maxBytes/journalShare, journalMax)/int64(pageSize), pagesMin)
}

func journalName(first uint64) string { return fmt.Sprintf("%016x%s", first, journalSuffix) }

// createJournal makes a journal of zeros: blocks that were written once are
// written again without the file system having to note anything.
func createJournal(fs FS, first uint64, pages int64, p *page) (*journal, error) {
	j := &journal{name: journalName(first), size: pages * int64(len(p.b)), page: p, seq: first, through: first - 1}
	temp := j.name + tempSuffix
	f, err := fs.Create(temp)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 64<<10)
	for at := int64(0); at < j.size && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), j.size-at)], at)
	}
	if err == nil {
		err = f.Datasync()
	}
	if err == nil {
		err = fs.Rename(temp, j.name)
	}
	if err == nil {
		err = fs.SyncDir("")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	j.file = f
	return j, nil
}

func (j *journal) pages() uint64 { return uint64(j.size) / uint64(len(j.page.b)) }

// write writes the page as it is now.
func (j *journal) write() error {
	if j.seq-j.through > j.pages() {
		return errFull
	}
	b := j.page.seal(j.seq, j.synced)
	j.written = true
	_, err := j.file.WriteAt(b, int64(j.seq%j.pages())*int64(len(b)))
	return err
}

// turn begins the next page, unless this one is empty.
func (j *journal) turn() {
	if n := j.page.events(); n > 0 {
		j.seq++
		j.page.reset()
		j.page.before = n
	}
}

// used is the part of the ring that must not be written over.
func (j *journal) used() float64 { return float64(j.seq-j.through) / float64(j.pages()) }

// found is what a journal on the disk holds.
type found struct {
	name   string
	size   int64
	pages  []pageHead // that are valid, in no order
	bad    []int64    // offsets of what is neither a page nor zeros
	shift  byte       // of the size of its pages, 0 if they differ
	newest uint64
	synced uint64
	newer  bool // it has pages of a newer version
}

const journalLimit = 64 << 20 // bytes that are read of one

// readJournal finds the pages of a journal.
func readJournal(f File, name string, size int64) found {
	j := found{name: name, size: size}
	b := make([]byte, min(size, journalLimit))
	const chunk = 1 << 20
	for at := 0; at < len(b); at += chunk {
		part := b[at:min(at+chunk, len(b))]
		if readFull(f, part, int64(at)) == nil {
			continue
		}
		for i := 0; i < len(part); i += 1 << pageShift {
			if page := part[i:min(i+1<<pageShift, len(part))]; readFull(f, page, int64(at+i)) != nil {
				page[0] = ^page[0] // neither a page nor zeros
				clear(page[1:])
			}
		}
	}
	for at := 0; at < len(b); {
		n := j.take(b[at:])
		if n == 0 { // perhaps it was just being written
			page := b[at:min(at+1<<pageShiftMax, len(b))]
			if readFull(f, page, int64(at)) == nil {
				n = j.take(b[at:])
			}
			if n == 0 {
				j.bad, n = append(j.bad, int64(at)), min(len(b)-at, 1<<pageShift)
			}
		}
		at += n
	}
	return j
}

// take takes in the page that b begins with, and returns its size, 0 if it is
// damaged.
func (j *found) take(b []byte) int {
	head, n, err := parsePage(b)
	switch {
	case errors.Is(err, errVersion):
		j.newer = true
		return n
	case err != nil && isZero(b[:min(len(b), 1<<pageShift)]):
		return min(len(b), 1<<pageShift)
	case err != nil:
		return 0
	}
	if len(j.pages) == 0 {
		j.shift = b[9]
	} else if j.shift != b[9] {
		j.shift = 0
	}
	j.pages = append(j.pages, head)
	j.newest, j.synced = max(j.newest, head.seq), max(j.synced, head.synced)
	return n
}

// missing returns how many pages newer than through are damaged although they
// were on the disk.
func (j *found) missing(through uint64) (n int) {
	if j.shift == 0 {
		return len(j.bad)
	}
	pages := uint64(j.size) >> j.shift
	for _, at := range j.bad {
		slot := uint64(at) >> j.shift
		seq := j.newest - (j.newest-slot)%pages // the newest that could have been there
		if j.newest >= slot && seq > through && seq <= j.synced {
			n++
		}
	}
	return n
}
