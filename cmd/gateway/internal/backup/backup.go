// Package backup copies the state directory of a gateway into one file, while the gateway
// runs, and makes a state directory from such a file.
//
// It refuses to know what is in the files, except what it needs to copy the log of
// readings and the audit log, each of which has several files that belong together.
package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history"
)

// A backup is a tar archive, compressed by gzip: first headName, then the files of the
// state directory by their names there, and last sumsName. Without the last one it is
// not whole.
const (
	version  = 1
	headName = "backup.json"
	sumsName = "sums.json"
)

// Files of a state directory.
const (
	logDir     = "log"   // of readings
	auditDir   = "audit" // its lines of JSON, each sealed with the one before
	anchorFile = "audit.anchor"
	lockFile   = "lock"
	latchFile  = "estop" // who has latched the e-stop
	// lostAndFound is there if the directory is a file system of its own; only root can read it.
	lostAndFound = "lost+found"
	// numbersFile is in no backup: numbers that were used after it would be used again.
	// Without the file, a gateway begins another epoch.
	numbersFile = "state.json"
)

// maxFile bounds the size of a file that is neither a journal nor a segment: no good one is as large.
const maxFile = 64 << 20

// Head says what a backup is of.
type Head struct {
	Backup  int       `json:"backup"` // version of the format
	Gateway string    `json:"gateway"`
	Version string    `json:"version"` // of the program
	Made    time.Time `json:"made"`
}

// sum is the size and the checksum that a file must have.
type sum struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Summary is what was copied.
type Summary struct {
	Head
	Files      int
	Bytes      int64
	EStopStays bool // the e-stop, which is latched, was not restored
}

// file is one to copy.
type file struct {
	name string
	mode fs.FileMode
	time time.Time
	size int64
	io.Reader
}

// Write writes a backup of a state directory to path, whose mode is 0600: it has the
// hashes of the tokens, and the key of the audit log.
func Write(path, dir string, head Head) (s Summary, err error) {
	head.Backup = version
	s.Head = head
	err = atomicfile.Write(path, 0o600, func(f *os.File) error {
		zipped, err := gzip.NewWriterLevel(f, gzip.BestSpeed) // readings are packed already
		if err != nil {
			return err
		}
		w := writer{tar: tar.NewWriter(zipped), at: head.Made}
		if err := w.json(headName, head); err != nil {
			return err
		}
		if err := w.directory(dir); err != nil {
			return err
		}
		s.Files = len(w.sums)
		for _, f := range w.sums {
			s.Bytes += f.Size
		}
		return errors.Join(w.json(sumsName, w.sums), w.tar.Close(), zipped.Close())
	})
	return s, err
}

type writer struct {
	tar  *tar.Writer
	at   time.Time
	sums []sum
}

func (w *writer) json(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.write(file{name, 0o600, w.at, int64(len(data)), bytes.NewReader(data)})
	return err
}

func (w *writer) write(f file) (sum, error) {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: int64(f.mode.Perm()), Size: f.size, ModTime: f.time.Truncate(time.Second)}
	if err := w.tar.WriteHeader(header); err != nil {
		return sum{}, err
	}
	hash := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w.tar, hash), f, f.size); err != nil {
		return sum{}, fmt.Errorf("%s: %w", f.name, err)
	}
	return sum{f.name, f.size, hex.EncodeToString(hash.Sum(nil))}, nil
}

func (w *writer) add(f file) error {
	s, err := w.write(f)
	w.sums = append(w.sums, s)
	return err
}

// directory copies what a state directory has. Each file is replaced as a whole when it is
// written, or is small enough to be read at once; each of the two logs has several files.
func (w *writer) directory(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == lockFile, name == lostAndFound, name == numbersFile, name == anchorFile, strings.HasPrefix(name, numbersFile+"."), strings.Contains(name, atomicfile.TempSuffix):
			continue
		case name == auditDir:
			err = w.audit(dir)
		case name == logDir:
			err = w.readings(filepath.Join(dir, name))
		default:
			err = w.tree(dir, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tree copies a file, or a directory of files.
func (w *writer) tree(dir, name string) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		return nil
	case err != nil:
		return err
	case info.IsDir():
		entries, err := os.ReadDir(path)
		for _, e := range entries {
			if err == nil && !strings.Contains(e.Name(), atomicfile.TempSuffix) {
				err = w.tree(dir, name+"/"+e.Name())
			}
		}
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file nor a directory", path)
	}
	f, err := read(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return w.add(f)
}

// read reads a file of the state directory.
func read(dir, name string) (file, error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	opened, err := os.Open(path)
	if err != nil {
		return file{}, err
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return file{}, err
	}
	if info.Size() > maxFile {
		return file{}, fmt.Errorf("%s has %d MiB, and is nothing that a gateway writes; fix: move it out of the state directory", path, info.Size()>>20)
	}
	data, err := io.ReadAll(opened)
	return file{name, info.Mode(), info.ModTime(), int64(len(data)), bytes.NewReader(data)}, err
}

// readings copies the log of readings.
func (w *writer) readings(dir string) error {
	s, err := history.TakeSnapshot(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, f := range s.Files {
		err := w.add(file{logDir + "/" + f.Name, 0o640, w.at, f.Size, io.NewSectionReader(f, 0, f.Size)})
		if err != nil {
			return err
		}
	}
	return nil
}

// auditTries is how many times the audit log is read if its files change meanwhile. A new
// file begins every 256 KiB.
const auditTries = 10

// audit copies the audit log, the anchor first: records that are written meanwhile are
// then beyond the anchor, and none of those before it is missing.
func (w *writer) audit(dir string) error {
	for range auditTries {
		files, err := readAudit(dir)
		if errors.Is(err, errChanged) {
			continue
		}
		for _, f := range files {
			err = errors.Join(err, w.add(f))
		}
		return err
	}
	return fmt.Errorf("%s: %w", filepath.Join(dir, auditDir), errChanged)
}

var errChanged = errors.New("its files change faster than they can be read")

func readAudit(dir string) (files []file, err error) {
	before, err := list(filepath.Join(dir, auditDir))
	if err != nil {
		return nil, err
	}
	switch anchor, err := read(dir, anchorFile); {
	case err == nil:
		files = append(files, anchor)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for _, name := range before {
		f, err := read(dir, auditDir+"/"+name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errChanged
		} else if err != nil {
			return nil, err
		}
		files = append(files, wholeLines(f))
	}
	after, err := list(filepath.Join(dir, auditDir))
	if err == nil && !slices.Equal(before, after) {
		err = errChanged
	}
	return files, err
}

// wholeLines leaves out a line that is just being written.
func wholeLines(f file) file {
	data, _ := io.ReadAll(f) // it is in memory
	if end := bytes.LastIndexByte(data, '\n'); end >= 0 {
		data = data[:end+1]
	}
	f.size, f.Reader = int64(len(data)), bytes.NewReader(data)
	return f
}

func list(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.Contains(e.Name(), atomicfile.TempSuffix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}
