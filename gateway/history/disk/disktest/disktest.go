// Package disktest is a simulated disk for tests: its operations can fail, and its power
// can be cut. It knows nothing of what is in the files.
package disktest

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

// Disk is a simulated disk whose power can be cut: it knows which of the changes made
// to it would survive that.
type Disk struct {
	Mu      sync.Mutex        // held by each operation, also while it calls a function
	Names   map[string]*Inode // as a program sees them
	durable map[string]*Inode // as they are after a cut of power, at the least
	pending []change          // of the directory, since it was synced

	Ops      int
	Fail     func(op int, what, name string) error // nil: nothing fails
	Changed  func()                                // after each operation that changes something
	Syncing  func(name string)                     // while a sync is under way; without the lock
	Written  int64                                 // bytes that reached the disk, by whole 4 KiB
	Capacity int64                                 // bytes that it has
}

// change is one of a directory: name now refers to an inode; nil: it was removed.
type change struct {
	name string
	is   *Inode
	from string // of a rename: gone then
}

// Inode is a file's content.
type Inode struct {
	Now     []byte
	Durable []byte
	writes  []span512
	dirty   map[int64]bool // pages of 4 KiB, since the last sync
}

// span512 is a write that was not synced.
type span512 struct {
	at   int64
	data []byte
}

// New returns an empty disk.
func New() *Disk {
	return &Disk{Names: map[string]*Inode{}, durable: map[string]*Inode{}, Capacity: math.MaxInt64}
}

// Space returns the size of the disk.
func (d *Disk) Space() (int64, error) { return d.Capacity, nil }

// op begins an operation.
func (d *Disk) op(what, name string) error {
	d.Ops++
	if d.Fail == nil {
		return nil
	}
	if err := d.Fail(d.Ops, what, name); err != nil {
		return &fs.PathError{Op: what, Path: name, Err: err}
	}
	return nil
}

// did ends one that changed something. d.Mu is held.
func (d *Disk) did() {
	if d.Changed != nil {
		d.Changed()
	}
}

// Open opens a file, always for writing too.
func (d *Disk) Open(name string, _ bool) (disk.File, error) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.op("open", name); err != nil {
		return nil, err
	}
	f := d.Names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{d, f, name}, nil
}

// Create makes a file, or empties it.
func (d *Disk) Create(name string) (disk.File, error) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.op("create", name); err != nil {
		return nil, err
	}
	f := &Inode{}
	d.Names[name] = f
	d.pending = append(d.pending, change{name: name, is: f})
	d.did()
	return &file{d, f, name}, nil
}

// Rename replaces what has the new name.
func (d *Disk) Rename(from, to string) error {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.op("rename", from); err != nil {
		return err
	}
	f := d.Names[from]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(d.Names, from)
	d.Names[to] = f
	d.pending = append(d.pending, change{name: to, is: f, from: from})
	d.did()
	return nil
}

// Remove removes a file.
func (d *Disk) Remove(name string) error {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.op("remove", name); err != nil {
		return err
	}
	if d.Names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(d.Names, name)
	d.pending = append(d.pending, change{name: name})
	d.did()
	return nil
}

// List returns the files in a directory, by their names.
func (d *Disk) List(dir string) (files []disk.Info, err error) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.op("list", dir); err != nil {
		return nil, err
	}
	for name, f := range d.Names {
		if in := path.Dir(name); in == dir || in == "." && dir == "" {
			files = append(files, disk.Info{Name: path.Base(name), Size: int64(len(f.Now))})
		}
	}
	slices.SortFunc(files, func(a, b disk.Info) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// Dirs returns the directories at the top that have files.
func (d *Disk) Dirs() (dirs []string, err error) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if err := d.op("list", ""); err != nil {
		return nil, err
	}
	for name := range d.Names {
		if dir, _, in := strings.Cut(name, "/"); in {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}

// SyncDir makes durable what was done to any directory.
func (d *Disk) SyncDir(dir string) error {
	d.Mu.Lock()
	defer d.Mu.Unlock()
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

func apply(names map[string]*Inode, c change) {
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

// Size returns the bytes of all files that were not set aside.
func (d *Disk) Size() (n int64) {
	files, _ := d.List("")
	for _, f := range files {
		n += f.Size
	}
	return n
}

type file struct {
	d    *Disk
	f    *Inode
	name string
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	f.d.Mu.Lock()
	defer f.d.Mu.Unlock()
	if err := f.d.op("read", f.name); err != nil {
		return 0, err
	}
	if at >= int64(len(f.f.Now)) {
		return 0, io.EOF
	}
	n := copy(b, f.f.Now[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	f.d.Mu.Lock()
	defer f.d.Mu.Unlock()
	if err := f.d.op("write", f.name); err != nil {
		return 0, err
	}
	f.f.Now = overwrite(f.f.Now, b, at)
	f.f.writes = append(f.f.writes, span512{at, slices.Clone(b)})
	if f.f.dirty == nil {
		f.f.dirty = map[int64]bool{}
	}
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

func (f *file) Sync() error {
	f.d.Mu.Lock()
	defer f.d.Mu.Unlock()
	if err := f.d.op("datasync", f.name); err != nil {
		f.f.writes = nil // the system takes them for written now, and will not try again
		return err
	}
	writes := len(f.f.writes)
	f.d.Written += int64(len(f.f.dirty)) * 4096
	clear(f.f.dirty)
	if f.d.Syncing != nil {
		f.d.Mu.Unlock()
		f.d.Syncing(f.name)
		f.d.Mu.Lock()
	}
	for _, w := range f.f.writes[:writes] {
		f.f.Durable = overwrite(f.f.Durable, w.data, w.at)
	}
	f.f.writes = f.f.writes[writes:]
	f.d.did()
	return nil
}

// Truncate cuts a file off. It is not durable.
func (f *file) Truncate(size int64) error {
	f.d.Mu.Lock()
	defer f.d.Mu.Unlock()
	if err := f.d.op("truncate", f.name); err != nil {
		return err
	}
	f.f.Now = f.f.Now[:min(size, int64(len(f.f.Now)))]
	f.d.did()
	return nil
}

func (f *file) Close() error { return nil }

// InPlace is as that of the operating system's files.
func (f *file) InPlace(size int64) error {
	f.d.Mu.Lock()
	defer f.d.Mu.Unlock()
	if f.d.Names[f.name] != f.f {
		return errors.New("it was removed or replaced")
	}
	if int64(len(f.f.Now)) < size {
		return errors.New("it was cut off")
	}
	return nil
}

// Cut returns what is on the disk when power is cut now: of what was not synced,
// chance takes or leaves each sector and each change of the directory. d.Mu is held, or
// nobody uses the disk.
func (d *Disk) Cut(chance *rand.Rand) *Disk {
	after := New()
	names := maps.Clone(d.durable)
	inOrder, many := chance.IntN(2) == 0, chance.IntN(len(d.pending)+1)
	for i, c := range d.pending {
		if inOrder && i < many || !inOrder && chance.IntN(2) == 0 {
			apply(names, c)
		}
	}
	for name, f := range names {
		after.Names[name] = f.cut(chance)
	}
	after.durable = maps.Clone(after.Names)
	return after
}

// Killed returns the disk as the next process finds it when the one that uses it is
// killed. d.Mu is held, or nobody uses the disk.
func (d *Disk) Killed() *Disk {
	after := New()
	copies := map[*Inode]*Inode{nil: nil}
	of := func(f *Inode) *Inode {
		if _, ok := copies[f]; !ok {
			copies[f] = &Inode{Now: slices.Clone(f.Now), Durable: slices.Clone(f.Durable), writes: slices.Clone(f.writes)}
		}
		return copies[f]
	}
	for name, f := range d.Names {
		after.Names[name] = of(f)
	}
	for name, f := range d.durable {
		after.durable[name] = of(f)
	}
	for _, c := range d.pending {
		after.pending = append(after.pending, change{c.name, of(c.is), c.from})
	}
	return after
}

// Copy returns another file of the same content.
func (f *Inode) Copy() *Inode { return &Inode{Now: slices.Clone(f.Now)} }

func (f *Inode) cut(chance *rand.Rand) *Inode {
	b := slices.Clone(f.Durable)
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
	return &Inode{Now: b, Durable: slices.Clone(b)}
}
