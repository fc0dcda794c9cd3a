package history

import (
	"errors"
	"fmt"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
)

const (
	journalSuffix = ".journal"
	segmentSuffix = ".segment"
	damagedDir    = "damaged"

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
}

// journalPages returns how many pages a journal has.
func journalPages(maxBytes int64, pageSize int) int64 {
	return max(min(maxBytes/journalShare, journalMax)/int64(pageSize), pagesMin)
}

func journalName(first uint64) string  { return fmt.Sprintf("%016x%s", first, journalSuffix) }
func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentSuffix) }

// createJournal creates a journal of zeros: where a file system has written before,
// a sync writes no metadata.
func createJournal(fs FS, first uint64, pages int64, p *format.Page) (*journal, error) {
	j := &journal{name: journalName(first), size: pages * int64(p.Size()), page: p, seq: first, through: first - 1}
	err := create(fs, j.name, func(f disk.File) error {
		zeros := make([]byte, 64<<10)
		for at := int64(0); at < j.size; at += int64(len(zeros)) {
			if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), j.size-at)], at); err != nil {
				return err
			}
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

func (j *journal) pages() uint64 { return uint64(j.size) / uint64(j.page.Size()) }

// write writes the page as it is now.
func (j *journal) write() error {
	if j.seq-j.through > j.pages() {
		return errFull
	}
	b := j.page.Seal(j.seq, j.synced)
	j.dirty = true
	_, err := j.file.WriteAt(b, int64(j.seq%j.pages())*int64(len(b)))
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
