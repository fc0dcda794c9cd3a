// Package journal is the ring of pages on the disk that has the newest records, so that
// they survive. The page that is being filled is staged in memory, if it can be, and
// written to the disk when it is full or about to be synced ([Staging]).
//
// It knows pages and files; not what is in a page, nor when to sync.
package journal

import (
	"errors"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
)

const (
	sizeMax = 20 << 20 // bytes; an hour of 8 sensors at 10 Hz takes 14 MiB
	share   = 12       // a journal has at most this part of the log's bytes
	// PagesMin is how many pages a journal has at least.
	PagesMin = 32

	zerosAhead = 16 // pages of zeros before the first is written, and at least between that and those that are filled
	// ZerosAtOnce is how many bytes of zeros are written at once.
	ZerosAtOnce = 64 << 10
)

// Why a page cannot be written.
var (
	ErrFull = errors.New("the journal is full: its records could not be moved to a segment")
	ErrSlow = errors.New("the disk is too slow: more readings wait for it than there is room for")
)

// Journal is the file of pages that is written now.
type Journal struct {
	Name    string
	Size    int64
	Page    *format.Page // that is being filled
	Seq     uint64       // its number
	Dirty   bool         // written to since the last sync
	Synced  uint64       // the newest page that is on the disk
	Through uint64       // the newest page that may be overwritten

	disk.File
	staging *Staging
	staged  bool   // the page is in memory, and not in the file
	zeroed  uint64 // pages up to this one were filled with zeros, or need not be
	last    uint64 // the last page that is to be filled; 0: none
	filling bool   // those after zeroed are being filled
}

// Pages returns how many pages a journal has, in a log of so many bytes.
func Pages(maxBytes int64, pageSize int) int64 {
	return max(min(maxBytes/share, sizeMax)/int64(pageSize), PagesMin)
}

// Continue returns a journal of an earlier process, which goes on with a page.
func Continue(name string, f disk.File, size int64, p *format.Page, seq, through uint64) *Journal {
	return &Journal{Name: name, Size: size, Page: p, Seq: seq, Through: through, File: f}
}

// New returns a journal whose first page has a number, before it has a file.
func New(first uint64, pages int64, p *format.Page) *Journal {
	return &Journal{Name: format.JournalName(first), Size: pages * int64(p.Size()), Page: p, Seq: first, Through: first - 1,
		zeroed: first - 1, last: first - 2 + uint64(pages)} // the page before the first is not filled
}

// Init writes the file of a new journal: its space is reserved, and it has a page, the one
// before its first, without events. So a journal without any page was emptied by
// something else. Its first pages are zeros; Fill writes the others: on a slow
// card that takes seconds, which readings need not wait for.
func (j *Journal) Init(f disk.File) error {
	if err := disk.Reserve(f, j.Size); err != nil {
		return err
	}
	b := j.Page.Seal(j.Seq-1, 0)
	if _, err := f.WriteAt(b, j.at(j.Seq-1)); err != nil {
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
}

// BeginFill returns how many pages are to be filled with zeros next, 0 if none is. Fill
// does so, well ahead of the page that is written, and EndFill notes it.
func (j *Journal) BeginFill() (n uint64) {
	if max(j.zeroed, j.Seq+zerosAhead) >= j.last {
		return 0
	}
	j.zeroed = max(j.zeroed, j.Seq+zerosAhead) // those before are written by readings first
	j.filling, j.Dirty = true, true
	return j.next()
}

// Fill fills n pages. Others may be written meanwhile.
func (j *Journal) Fill(n uint64) error { return j.zero(j.File, n) }

// EndFill notes that n pages were filled.
func (j *Journal) EndFill(n uint64) { j.filling, j.zeroed = false, j.zeroed+n }

// Filled reports whether the whole file was written, by zeros or by pages.
func (j *Journal) Filled() bool { return j.zeroed >= j.last }

// next returns how many pages after zeroed to fill next.
func (j *Journal) next() (n uint64) {
	n = min(max(ZerosAtOnce/uint64(j.Page.Size()), 1), j.pages()-(j.zeroed+1)%j.pages())
	return min(n, j.last-j.zeroed)
}

// zero fills the n pages after zeroed: to sync a page, a file system writes no metadata
// if it has written there before.
func (j *Journal) zero(f disk.File, n uint64) error {
	_, err := f.WriteAt(make([]byte, int(n)*j.Page.Size()), j.at(j.zeroed+1))
	return err
}

// at returns where a page is in the file.
func (j *Journal) at(seq uint64) int64 { return int64(seq%j.pages()) * int64(j.Page.Size()) }

func (j *Journal) pages() uint64 { return uint64(j.Size) / uint64(j.Page.Size()) }

// Stage has the page staged from now on, until that fails.
func (j *Journal) Stage(s *Staging) { j.staging = s }

// Staged reports whether pages are staged: to write one waits for nothing.
func (j *Journal) Staged() bool { return j.staging != nil }

// Write writes the page as it is now: to memory if it is staged, else to the file.
func (j *Journal) Write() error {
	if j.staging != nil {
		err := j.staging.put(j.Name, j.at(j.Seq), j.Page.Seal(j.Seq, j.Synced))
		if err == nil {
			j.staged, j.Dirty = true, true
			return nil
		}
		j.staging = nil // the file has all of the page in a moment
	}
	return j.write()
}

// write writes the page to the file.
func (j *Journal) write() error {
	if j.Seq-j.Through > j.pages() {
		return ErrFull
	}
	if j.filling && j.Seq > j.zeroed {
		return ErrSlow // zeros would be written over it
	}
	j.Dirty = true
	_, err := j.WriteAt(j.Page.Seal(j.Seq, j.Synced), j.at(j.Seq))
	j.staged = j.staged && err != nil
	return err
}

// Flush writes the page to the file if it is staged only.
func (j *Journal) Flush() error {
	if !j.staged {
		return nil
	}
	return j.write()
}

// Advance begins the next page, unless this one is empty. It must have been flushed.
func (j *Journal) Advance() {
	if n := j.Page.Events(); n > 0 {
		j.Seq++
		j.Page.Reset()
		j.Page.Before = n
	}
}

// Used is the part of the ring that must not be overwritten.
func (j *Journal) Used() float64 { return float64(j.Seq-j.Through) / float64(j.pages()) }
