package collect

import (
	"errors"
	"io"
	"math"
	"path"
	"path/filepath"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/recovery"
)

// FS is the directory of a [Collection]. Names are relative to it, with slashes. Creating a
// file, or renaming one, creates the directory that it goes to.
type FS interface {
	recovery.FS
	Create(name string) (disk.File, error)
	// Dirs returns the directories in it.
	Dirs() ([]string, error)
}

// directory is one in an FS.
type directory struct {
	fs   FS
	name string
	at   string // for people
}

func (o Options) directory(name string) directory {
	return directory{o.FS, name, filepath.Join(o.Dir, filepath.FromSlash(name))}
}

func (d directory) path(name string) string { return path.Join(d.name, name) }

func (d directory) Open(name string, write bool) (disk.File, error) {
	return d.fs.Open(d.path(name), write)
}

func (d directory) Create(name string) (disk.File, error) { return d.fs.Create(d.path(name)) }

func (d directory) Rename(from, to string) error { return d.fs.Rename(d.path(from), d.path(to)) }

func (d directory) Remove(name string) error { return d.fs.Remove(d.path(name)) }

func (d directory) SyncDir(name string) error { return d.fs.SyncDir(d.path(name)) }

func (d directory) List(name string) ([]disk.Info, error) { return d.fs.List(d.path(name)) }

// syncParents makes durable that the directory is there.
func (d directory) syncParents() (err error) {
	for at := d.name; at != "."; {
		at = path.Dir(at)
		err = errors.Join(err, d.fs.SyncDir(at))
	}
	return err
}

// read returns what a file has.
func (d directory) read(name string) ([]byte, error) {
	f, err := d.Open(name, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, math.MaxInt64))
}

// size returns how large a file is, 0 if there is none.
func (d directory) size(name string) (int64, error) {
	files, err := d.List("")
	for _, f := range files {
		if f.Name == name {
			return f.Size, err
		}
	}
	return 0, err
}

// replace makes a file, or replaces it, as a whole.
func (d directory) replace(name string, write func(f disk.File) error) error {
	f, err := d.Create(name + atomicfile.TempSuffix)
	if err != nil {
		return err
	}
	return atomicfile.Commit(d, f, name+atomicfile.TempSuffix, name, func() error { return write(f) })
}
