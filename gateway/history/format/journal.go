package format

import (
	"bytes"
	"errors"
	"io"
)

// Journal is what the file of a journal holds.
type Journal struct {
	First  uint64 // number of its first page
	Size   int64
	Pages  []PageHead // that are valid, in no order
	Bad    []int64    // offsets of what is neither a page nor zeros
	Shift  byte       // of the size of its pages, 0 if they differ
	Newest uint64
	Synced uint64
	Newer  bool // it has pages of a newer version
}

// JournalMax is far above how large a journal ever is, bytes.
const JournalMax = 64 << 20

// ReadJournal finds the pages of a journal that begins with the page first.
func ReadJournal(f io.ReaderAt, first uint64, size int64) Journal {
	j := Journal{First: first, Size: size}
	b := make([]byte, min(size, JournalMax))
	const chunk = 1 << 20
	for at := 0; at < len(b); at += chunk {
		part := b[at:min(at+chunk, len(b))]
		if ReadFull(f, part, int64(at)) == nil {
			continue
		}
		for i := 0; i < len(part); i += 1 << PageShift {
			if page := part[i:min(i+1<<PageShift, len(part))]; ReadFull(f, page, int64(at+i)) != nil {
				page[0] = ^page[0] // neither a page nor zeros
				clear(page[1:])
			}
		}
	}
	for at := 0; at < len(b); {
		n := j.take(b[at:])
		if n == 0 { // perhaps it was just being written
			page := b[at:min(at+1<<pageShiftMax, len(b))]
			if ReadFull(f, page, int64(at)) == nil {
				n = j.take(b[at:])
			}
			if n == 0 {
				j.Bad, n = append(j.Bad, int64(at)), min(len(b)-at, 1<<PageShift)
			}
		}
		at += n
	}
	return j
}

// take takes in the page that b begins with, and returns its size, 0 if it is
// damaged.
func (j *Journal) take(b []byte) int {
	head, n, err := ParsePage(b)
	switch {
	case errors.Is(err, ErrVersion):
		j.Newer = true
		return n
	case err != nil && isZero(b[:min(len(b), 1<<PageShift)]):
		return min(len(b), 1<<PageShift)
	case err != nil:
		return 0
	}
	if len(j.Pages) == 0 {
		j.Shift = b[9]
	} else if j.Shift != b[9] {
		j.Shift = 0
	}
	j.Pages = append(j.Pages, head)
	j.Newest, j.Synced = max(j.Newest, head.Seq), max(j.Synced, head.Synced)
	return n
}

// Missing returns how many pages newer than through were synced, but are damaged,
// zeros, or older than they should be.
func (j *Journal) Missing(through uint64) int {
	if j.Shift == 0 {
		return len(j.Bad)
	}
	return j.holes(through, min(j.Synced, j.Newest))
}

// Whole returns whether all pages newer than through are there up to the newest.
func (j *Journal) Whole(through uint64) bool { return j.holes(through, j.Newest) == 0 }

// Overwritten returns the newest page that it no longer has, or never had.
func (j *Journal) Overwritten() uint64 {
	if j.Shift == 0 {
		return 0
	}
	return max(j.First-min(j.First, 1), j.Newest-min(j.Newest, uint64(j.Size)>>j.Shift))
}

func (j *Journal) holes(through, until uint64) (n int) {
	if j.Shift == 0 {
		return len(j.Bad)
	}
	first := max(through, j.Overwritten()) + 1
	there := map[uint64]bool{}
	for _, p := range j.Pages {
		there[p.Seq] = true
	}
	for seq := first; seq <= until; seq++ {
		if !there[seq] {
			n++
		}
	}
	return n
}

// isZero returns whether a page, or what there is of one, is of zeros. Most of a new
// journal is, so it is compared as a whole.
func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }

var zeros [1 << PageShift]byte
