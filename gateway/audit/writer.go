package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"sensorgateway/gateway/atomicfile"
)

// writer appends to the files of one chain.
type writer struct {
	dir, chain string
	keep       int // files
	key        []byte
	write      func(*os.File, []byte) (int, error)
	fsync      func(*os.File) error
	failed     []string // files that could not be synced, until they are replaced; the syncer's

	mu      sync.Mutex // held while a record is written, and while a file is replaced
	last    uint64     // number of the last record
	code    code
	file    *os.File // nil: the next record begins one
	size    int64
	oldest  uint64
	written mark
	full    []*os.File // to sync and close
	dirty   bool
}

// resume finds the end of the chain. It returns how many records the anchor has that
// are not there, and what is changed in the newest file.
func (w *writer) resume(anchored mark) (missing uint64, changed error, err error) {
	paths, firsts, err := files(w.dir, w.chain)
	if err != nil {
		return 0, nil, err
	}
	w.last, w.oldest, w.code = 0, 1, code{}
	for i := len(paths) - 1; i >= 0; i-- {
		s, err := readFile(paths[i], w.chain, w.key, nil)
		if err != nil {
			return 0, nil, err
		}
		if s.torn && s.whole == 0 { // it was just begun: the chain ends in the file before
			if err := os.Remove(paths[i]); err != nil {
				return 0, nil, err
			}
			continue
		}
		w.oldest, w.last, w.code = firsts[0], max(s.last, firsts[i]-1), s.code
		if s.bad != nil && !s.torn { // it stays as it is, and the next file has another name
			changed = fmt.Errorf("%s, record %d: %w", paths[i], w.last+1, s.bad)
			w.last = max(w.last, firsts[i])
			break
		}
		if err := w.reopen(paths[i], s); err != nil {
			return 0, nil, err
		}
		break
	}
	if anchored.Newest > w.last {
		missing = anchored.Newest - w.last
		w.last = anchored.Newest // numbers are not given twice
	}
	w.written = mark{w.oldest, w.last, w.code.String()}
	return missing, changed, nil
}

// reopen goes on with the newest file. It removes a last line that is incomplete, because
// the power failed.
func (w *writer) reopen(path string, s scan) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if s.torn {
		err = f.Truncate(s.whole)
	}
	if err == nil {
		_, err = f.Seek(s.whole, 0)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	w.file, w.size = f, s.whole
	return nil
}

// append writes a record. After an error nothing of it is left in the file.
func (w *writer) append(r Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.N, r.Chain = w.last+1, w.chain
	text, err := r.encode()
	if err != nil {
		return err
	}
	line, c := seal(w.key, w.code, text)
	if w.file != nil && w.size+int64(len(line)) > fileSize {
		w.full = append(w.full, w.file)
		w.file = nil
	}
	if w.file == nil {
		if err := w.begin(r.N); err != nil {
			return err
		}
	}
	if err := w.put(line); err != nil {
		return err
	}
	w.last, w.code = r.N, c
	w.written, w.dirty = mark{w.oldest, w.last, c.String()}, true
	return nil
}

func (w *writer) begin(first uint64) error {
	path := filepath.Join(w.dir, fileName(w.chain, first))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) { // perhaps of an earlier try, and without a record
		s, readErr := readFile(path, w.chain, w.key, nil)
		if readErr == nil && s.records == 0 && (s.bad == nil || s.torn) && os.Remove(path) == nil {
			return w.begin(first)
		}
	}
	if err != nil {
		return err
	}
	w.file, w.size = f, 0
	if err := w.put(sealHeader(w.key, header{Chain: w.chain, First: first}, w.code)); err != nil {
		_ = f.Close()
		w.file = nil // the next try removes what is there
		return err
	}
	return nil
}

func (w *writer) put(line []byte) error {
	if _, err := w.write(w.file, line); err != nil {
		_ = w.file.Truncate(w.size)
		_, _ = w.file.Seek(w.size, 0)
		return err
	}
	w.size += int64(len(line))
	return nil
}

// sync makes durable what was written until now, and returns where the chain stands
// then. It is called beside append.
func (w *writer) sync() (m mark, changed bool, err error) {
	w.mu.Lock()
	m, changed = w.written, w.dirty
	full := w.full
	w.full, w.dirty = nil, false
	w.mu.Unlock()
	for _, f := range full { // the oldest first: a power cut must not leave a gap
		w.syncFile(f)
		_ = f.Close()
	}
	if changed {
		err = w.syncNewest(m.Newest)
	}
	for err == nil && len(w.failed) > 0 {
		if err = w.replace(w.failed[0]); err == nil {
			w.failed = w.failed[1:]
		}
	}
	if err != nil {
		w.mu.Lock()
		w.dirty = true
		w.mu.Unlock()
	}
	return m, changed, err
}

// syncNewest syncs the file of a record by path: the file that is written to belongs to
// append. Files after it were begun meanwhile, and are synced next time.
func (w *writer) syncNewest(newest uint64) error {
	paths, firsts, err := files(w.dir, w.chain)
	i := len(paths) - 1
	for i >= 0 && firsts[i] > newest {
		i--
	}
	if i < 0 {
		return err
	}
	f, err := os.OpenFile(paths[i], os.O_WRONLY, 0) // Windows syncs no file that is only read
	if err != nil {
		return err
	}
	w.syncFile(f)
	return f.Close()
}

// syncFile syncs a file, or notes that it must be replaced: after a sync that failed, the
// system may have dropped what it could not write, and the next sync says nothing of that.
func (w *writer) syncFile(f *os.File) {
	if w.fsync(f) != nil && !slices.Contains(w.failed, f.Name()) {
		w.failed = append(w.failed, f.Name())
	}
}

// replace replaces a file by a copy, which is durable. Records wait meanwhile.
func (w *writer) replace(path string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) { // something else has removed it, as Verify will find
		return nil
	} else if err != nil {
		return err
	}
	newest := w.file != nil && w.file.Name() == path
	if newest {
		_ = w.file.Close() // Windows replaces no open file
		w.file = nil
	}
	err = atomicfile.Write(path, 0o600, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
	if newest {
		err = errors.Join(err, w.reopen(path, scan{whole: w.size}))
	}
	return err
}

// evictable returns the files beyond what is kept, and the first number that stays.
func (w *writer) evictable() (paths []string, oldest uint64, err error) {
	paths, firsts, err := files(w.dir, w.chain)
	if err != nil || len(paths) <= w.keep {
		return nil, 0, err
	}
	n := len(paths) - w.keep
	return paths[:n], firsts[n], nil
}

func (w *writer) setOldest(oldest uint64) {
	w.mu.Lock()
	w.oldest, w.written.Oldest, w.dirty = oldest, oldest, true
	w.mu.Unlock()
}
