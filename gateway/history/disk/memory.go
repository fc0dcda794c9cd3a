package disk

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

// NewMemory returns an empty directory in memory, for a gateway without a state
// directory: what is in it can be read until the process ends.
func NewMemory() *Memory { return &Memory{files: map[string]*memoryFile{}} }

// Memory is a directory in memory.
type Memory struct {
	mu    sync.Mutex
	files map[string]*memoryFile
}

// Open opens a file, always for writing too.
func (m *Memory) Open(name string, _ bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f, nil
}

// Create makes a file, or empties it.
func (m *Memory) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &memoryFile{}
	m.files[name] = f
	return f, nil
}

// Rename replaces what has the new name.
func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[from]
	if !ok {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(m.files, from)
	m.files[to] = f
	return nil
}

// Remove removes a file.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.files[name]; !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.files, name)
	return nil
}

// SyncDir does nothing: memory is not durable.
func (m *Memory) SyncDir(string) error { return nil }

// List returns the files in a directory, by their names.
func (m *Memory) List(dir string) (files []Info, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, f := range m.files {
		if in := path.Dir(name); in == dir || in == "." && dir == "" {
			files = append(files, Info{path.Base(name), f.size()})
		}
	}
	slices.SortStableFunc(files, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// memoryFile is a file as pieces of equal size; a nil one is zeros.
type memoryFile struct {
	mu     sync.Mutex
	pieces [][]byte
	length int64
}

const pieceSize = 4096

func (f *memoryFile) size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.length
}

func (f *memoryFile) ReadAt(b []byte, at int64) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rest := f.length - at; int64(len(b)) > rest {
		b, err = b[:max(rest, 0)], io.EOF
	}
	for n < len(b) {
		i, begin := int((at+int64(n))/pieceSize), int((at+int64(n))%pieceSize)
		m := min(len(b)-n, pieceSize-begin)
		if piece := f.pieces[i]; piece != nil {
			copy(b[n:n+m], piece[begin:])
		} else {
			clear(b[n : n+m])
		}
		n += m
	}
	return n, err
}

func (f *memoryFile) WriteAt(b []byte, at int64) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.length = max(f.length, at+int64(len(b)))
	for int64(len(f.pieces))*pieceSize < f.length {
		f.pieces = append(f.pieces, nil)
	}
	for n < len(b) {
		i, begin := int((at+int64(n))/pieceSize), int((at+int64(n))%pieceSize)
		m := min(len(b)-n, pieceSize-begin)
		if f.pieces[i] == nil && len(bytes.TrimLeft(b[n:n+m], "\x00")) > 0 {
			f.pieces[i] = make([]byte, pieceSize)
		}
		if f.pieces[i] != nil {
			copy(f.pieces[i][begin:], b[n:n+m])
		}
		n += m
	}
	return n, nil
}

func (f *memoryFile) Sync() error  { return nil }
func (f *memoryFile) Close() error { return nil }
