package history

import (
	"bytes"
	"errors"
	"io"
)

// fileJournal is what the file of a journal holds.
type fileJournal struct {
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
func readJournal(f io.ReaderAt, size int64) fileJournal {
	j := fileJournal{size: size}
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
func (j *fileJournal) take(b []byte) int {
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
func (j *fileJournal) missing(through uint64) (n int) {
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

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
