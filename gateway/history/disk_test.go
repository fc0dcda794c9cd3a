package history

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"

	"sensorgateway/gateway/history/disk"
)

const sectorSize = 512

// testDisk is a simulated one whose power can be cut: it knows which of what was done
// to it would be there still.
type testDisk struct {
	mu      sync.Mutex
	names   map[string]*inode // as a program sees them
	durable map[string]*inode // as they are after a cut of power, at the least
	pending []change          // of the directory, since it was synced

	ops     int
	fail    func(op int, what, name string) error // nil: nothing fails
	changed func()                                // after each operation that changes something
	syncing func(name string)                     // while a sync is under way
	written int64                                 // bytes that reached the disk, by whole 4 KiB
	space   int64                                 // bytes that it has
}

// change is one of a directory: name now refers to inode; nil: it was removed.
type change struct {
	name string
	is   *inode
	from string // of a rename: gone then
}

// inode is a file's content.
type inode struct {
	now     []byte
	durable []byte
	writes  []span512
	dirty   map[int64]bool // pages of 4 KiB, since the last sync
}

// span512 is a write that was not synced.
type span512 struct {
	at   int64
	data []byte
}

func newTestDisk() *testDisk {
	return &testDisk{names: map[string]*inode{}, durable: map[string]*inode{}, space: math.MaxInt64}
}

func (d *testDisk) Space() (int64, error) { return d.space, nil }

// op begins an operation.
func (d *testDisk) op(what, name string) error {
	d.ops++
	if d.fail == nil {
		return nil
	}
	if err := d.fail(d.ops, what, name); err != nil {
		return &fs.PathError{Op: what, Path: name, Err: err}
	}
	return nil
}

// did ends one that changed something. d.mu is held.
func (d *testDisk) did() {
	if d.changed != nil {
		d.changed()
	}
}

func (d *testDisk) Open(name string, _ bool) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("open", name); err != nil {
		return nil, err
	}
	f := d.names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &testFile{d, f, name}, nil
}

func (d *testDisk) Create(name string) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("create", name); err != nil {
		return nil, err
	}
	f := &inode{dirty: map[int64]bool{}}
	d.names[name] = f
	d.pending = append(d.pending, change{name: name, is: f})
	d.did()
	return &testFile{d, f, name}, nil
}

func (d *testDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("rename", from); err != nil {
		return err
	}
	f := d.names[from]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(d.names, from)
	d.names[to] = f
	d.pending = append(d.pending, change{name: to, is: f, from: from})
	d.did()
	return nil
}

func (d *testDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("remove", name); err != nil {
		return err
	}
	if d.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(d.names, name)
	d.pending = append(d.pending, change{name: name})
	d.did()
	return nil
}

func (d *testDisk) List(dir string) (files []disk.Info, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("list", dir); err != nil {
		return nil, err
	}
	for name, f := range d.names {
		if in := path.Dir(name); in == dir || in == "." && dir == "" {
			files = append(files, disk.Info{Name: path.Base(name), Size: int64(len(f.now))})
		}
	}
	slices.SortFunc(files, func(a, b disk.Info) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

func (d *testDisk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("syncdir", dir); err != nil {
		return err
	}
	for _, c := range d.pending {
		apply(d.durable, c)
	}
	d.pending = nil
	d.did()
	return nil
}

func apply(names map[string]*inode, c change) {
	if c.from != "" {
		if names[c.from] == c.is {
			delete(names, c.from)
		}
	}
	if c.is == nil {
		delete(names, c.name)
	} else {
		names[c.name] = c.is
	}
}

// size returns the bytes of all files that were not set aside.
func (d *testDisk) size() (n int64) {
	files, _ := d.List("")
	for _, f := range files {
		n += f.Size
	}
	return n
}

type testFile struct {
	d    *testDisk
	f    *inode
	name string
}

func (f *testFile) ReadAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op("read", f.name); err != nil {
		return 0, err
	}
	if at >= int64(len(f.f.now)) {
		return 0, io.EOF
	}
	n := copy(b, f.f.now[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *testFile) WriteAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op("write", f.name); err != nil {
		return 0, err
	}
	f.f.now = overwrite(f.f.now, b, at)
	f.f.writes = append(f.f.writes, span512{at, slices.Clone(b)})
	for page := at / 4096; page*4096 < at+int64(len(b)); page++ {
		f.f.dirty[page] = true
	}
	f.d.did()
	return len(b), nil
}

func overwrite(to, b []byte, at int64) []byte {
	if end := int(at) + len(b); end > len(to) {
		to = append(to, make([]byte, end-len(to))...)
	}
	copy(to[at:], b)
	return to
}

func (f *testFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op("datasync", f.name); err != nil {
		f.f.writes = nil // the system takes them for written now, and will not try again
		return err
	}
	writes := len(f.f.writes)
	f.d.written += int64(len(f.f.dirty)) * 4096
	clear(f.f.dirty)
	if f.d.syncing != nil {
		f.d.mu.Unlock()
		f.d.syncing(f.name)
		f.d.mu.Lock()
	}
	for _, w := range f.f.writes[:writes] {
		f.f.durable = overwrite(f.f.durable, w.data, w.at)
	}
	f.f.writes = f.f.writes[writes:]
	f.d.did()
	return nil
}

func (f *testFile) Close() error { return nil }

// InPlace is as that of the operating system's files.
func (f *testFile) InPlace(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.names[f.name] != f.f {
		return errors.New("it was removed or replaced")
	}
	if int64(len(f.f.now)) < size {
		return errors.New("it was cut off")
	}
	return nil
}

// cut returns what is on the disk when power is cut now: of what was not synced,
// chance takes or leaves each sector and each change of the directory. d.mu is held.
func (d *testDisk) cut(chance *rand.Rand) *testDisk {
	after := newTestDisk()
	names := maps.Clone(d.durable)
	inOrder, many := chance.IntN(2) == 0, chance.IntN(len(d.pending)+1)
	for i, c := range d.pending {
		if inOrder && i < many || !inOrder && chance.IntN(2) == 0 {
			apply(names, c)
		}
	}
	for name, f := range names {
		after.names[name] = f.cut(chance)
	}
	after.durable = maps.Clone(after.names)
	return after
}

// copy returns another file of the same content.
func (f *inode) copy() *inode { return &inode{now: slices.Clone(f.now), dirty: map[int64]bool{}} }

func (f *inode) cut(chance *rand.Rand) *inode {
	b := slices.Clone(f.durable)
	how := chance.IntN(4) // all, none, whole writes, sectors
	for _, w := range f.writes {
		if how == 1 || how == 2 && chance.IntN(2) == 0 {
			continue
		}
		if how != 3 {
			b = overwrite(b, w.data, w.at)
			continue
		}
		for at := 0; at < len(w.data); at += sectorSize {
			if chance.IntN(2) == 0 {
				b = overwrite(b, w.data[at:min(at+sectorSize, len(w.data))], w.at+int64(at))
			}
		}
	}
	return &inode{now: b, durable: slices.Clone(b), dirty: map[int64]bool{}}
}
