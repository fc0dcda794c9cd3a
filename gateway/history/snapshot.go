package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
	"sensorgateway/gateway/history/values"
)

// snapshotTries is how often a directory is read that changes meanwhile. A segment is
// written once an hour, and a page of the journal once a second.
const snapshotTries = 10

// Snapshot is the files of a log at one moment, also while another process writes it: a
// copy of them is a log that has every record which was synced when the snapshot was
// taken, and no gap before its last.
type Snapshot struct {
	Files []SnapshotFile
	close []io.Closer
}

// SnapshotFile is one of the files. What it is read from does not change any more.
type SnapshotFile struct {
	Name string
	Size int64
	io.ReaderAt
}

// TakeSnapshot reads the directory of a log. It changes nothing.
func TakeSnapshot(dir string) (*Snapshot, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, err
	}
	return takeSnapshot(disk.OS(dir))
}

func takeSnapshot(fs FS) (*Snapshot, error) {
	for range snapshotTries {
		s, err := trySnapshot(fs, false)
		if !errors.Is(err, errChanged) {
			return s, err
		}
	}
	return trySnapshot(fs, true) // damaged pages stay so
}

// errChanged says that the directory has changed while it was read.
var errChanged = errors.New("the files of the log change faster than they can be read")

// trySnapshot reads the journals between two listings of the directory: as long as no
// segment is new, no page was overwritten whose records only a segment has.
func trySnapshot(files FS, damaged bool) (_ *Snapshot, err error) {
	s := &Snapshot{}
	defer func() {
		if errors.Is(err, fs.ErrNotExist) { // evicted meanwhile
			err = errors.Join(errChanged, err)
		}
		if err != nil {
			s.Close()
		}
	}()
	before, err := logFiles(files)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range before {
		if !strings.HasSuffix(f.Name, format.JournalSuffix) {
			continue
		}
		data, err := readJournal(files, f)
		if err != nil {
			return nil, err
		}
		first, _ := strconv.ParseUint(strings.TrimSuffix(f.Name, format.JournalSuffix), 16, 64) // it has 16 digits
		if j := format.ReadJournal(bytes.NewReader(data), first, f.Size); j.Missing(0) > 0 && !damaged {
			return nil, fmt.Errorf("%s: %w", f.Name, errChanged)
		}
		s.Files = append(s.Files, SnapshotFile{f.Name, f.Size, bytes.NewReader(data)})
	}
	for _, f := range before {
		names = append(names, f.Name)
		if !strings.HasSuffix(f.Name, format.SegmentSuffix) {
			continue
		}
		opened, err := files.Open(f.Name, false)
		if err != nil {
			return nil, err
		}
		s.close = append(s.close, opened)
		s.Files = append(s.Files, SnapshotFile{f.Name, f.Size, opened})
	}
	switch data, err := recovery.ReadValues(files); { // it is written before the records it is about
	case err == nil:
		s.Files = append(s.Files, SnapshotFile{values.FileName, int64(len(data)), bytes.NewReader(data)})
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	after, err := logFiles(files)
	if slices.ContainsFunc(after, func(f disk.Info) bool { return !slices.Contains(names, f.Name) }) {
		err = errors.Join(err, errChanged)
	}
	return s, err
}

// logFiles lists the journals and segments that are complete.
func logFiles(files FS) ([]disk.Info, error) {
	all, err := disk.Retry(func() ([]disk.Info, error) { return files.List("") })
	return slices.DeleteFunc(all, func(f disk.Info) bool {
		digits, suffix, _ := strings.Cut(f.Name, ".")
		_, err := strconv.ParseUint(digits, 16, 64)
		return err != nil || len(digits) != 16 || "."+suffix != format.JournalSuffix && "."+suffix != format.SegmentSuffix
	}), err
}

func readJournal(files FS, f disk.Info) ([]byte, error) {
	opened, err := files.Open(f.Name, false)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	if f.Size > format.JournalMax {
		return nil, fmt.Errorf("%s is larger than a journal can be", f.Name)
	}
	data := make([]byte, f.Size)
	if err := format.ReadFull(opened, data, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return data, nil
}

// Close closes the files.
func (s *Snapshot) Close() {
	for _, f := range s.close {
		_ = f.Close() // it was read only
	}
}
