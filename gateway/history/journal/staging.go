package journal

import (
	"encoding/binary"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/memoryfile"
)

// Staging is a page in a file in memory, which outlives the process. What is put there
// survives SIGKILL as what is written to a file does, but costs only a copy: a write is
// a system call that can wait for a disk. It is lost only when the machine goes down,
// and so is what was written and not synced.
//
// The value: where the page belongs in the journal (8 bytes), the length of the
// journal's name (1), the name, the page.
type Staging struct {
	file *memoryfile.File
	path string
	head []byte
}

// NewStaging makes the file at path, for pages of so many bytes.
func NewStaging(path string, pageSize int) (*Staging, error) {
	head := 8 + 1 + len(format.JournalName(0))
	f, err := memoryfile.Create(path, head+pageSize, nil)
	if err != nil {
		return nil, err
	}
	return &Staging{file: f, path: path, head: make([]byte, head)}, nil
}

// put stages a page.
func (s *Staging) put(name string, at int64, page []byte) error {
	binary.BigEndian.PutUint64(s.head, uint64(at))
	s.head[8] = byte(len(name))
	copy(s.head[9:], name)
	return s.file.Put(s.head, page)
}

// Remove ends the staging. s may be nil.
func (s *Staging) Remove() error {
	if s == nil {
		return nil
	}
	_ = s.file.Close() // nothing waits to be written
	return memoryfile.Remove(s.path)
}

// Left is the page that a process had staged when it was killed.
type Left struct {
	name string // of the journal; "" if there is none
	at   int64
	page []byte
}

// ReadLeft returns what a process left at the first of the paths that has a page.
func ReadLeft(paths ...string) (l Left) {
	for _, path := range paths {
		if l = readLeft(path); l.name != "" {
			break
		}
	}
	return l
}

func readLeft(path string) (l Left) {
	b := memoryfile.Read(path)
	if len(b) < 9 || len(b) < 9+int(b[8]) {
		return Left{}
	}
	l = Left{name: string(b[9:][:b[8]]), at: int64(binary.BigEndian.Uint64(b)), page: b[9+int(b[8]):]}
	if _, size, err := format.ParsePage(l.page); err != nil || size != len(l.page) || l.at < 0 {
		return Left{}
	}
	return l
}

// Over returns a journal's file, for reading, in which the page that the process left
// replaces the one that is there, unless that is as new.
func (l Left) Over(name string, f disk.File) disk.File {
	if name != l.name || !l.newer(f) {
		return f
	}
	return leftFile{f, l}
}

// Restore writes to a journal what the process left, unless what is there is as new.
func (l Left) Restore(j *Journal) error {
	if j.Name != l.name || !l.newer(j.File) {
		return nil
	}
	_, err := j.WriteAt(l.page, l.at)
	return err
}

// newer reports whether the page is one that the file lacks, in whole or in part.
func (l Left) newer(f disk.File) bool {
	there := make([]byte, len(l.page))
	if format.ReadFull(f, there, l.at) != nil {
		return false // the file is another one
	}
	mine, _, _ := format.ParsePage(l.page)
	old, size, err := format.ParsePage(there)
	if err != nil {
		return size == 0 // it is no page, and not one of a newer version
	}
	return mine.Seq > old.Seq || mine.Seq == old.Seq && len(mine.Events) > len(old.Events)
}

// leftFile is a journal with the page that was left.
type leftFile struct {
	disk.File
	left Left
}

func (f leftFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(b, at)
	if from := max(at, f.left.at); from < min(at+int64(n), f.left.at+int64(len(f.left.page))) {
		copy(b[from-at:n], f.left.page[from-f.left.at:])
	}
	return n, err
}
