package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sensorgateway/gateway/atomicfile"
)

// OS is a directory of the operating system.
type OS string

func (d OS) path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

// Open opens a file that exists. It does not wait for what is no regular file, such as a pipe.
func (d OS) Open(name string, write bool) (File, error) {
	if err := atomicfile.Regular(d.path(name)); err != nil {
		return nil, err
	}
	how := os.O_RDONLY
	if write {
		how = os.O_RDWR
	}
	return asFile(os.OpenFile(d.path(name), how, 0))
}

// Create makes a file, or empties it, and the directory that it is in.
func (d OS) Create(name string) (File, error) {
	if err := d.makeParent(name); err != nil {
		return nil, err
	}
	return asFile(os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640))
}

// asFile returns f as a File, or an error and a File that is nil.
func asFile(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d OS) makeParent(name string) error { return os.MkdirAll(filepath.Dir(d.path(name)), 0o750) }

// Rename replaces what has the new name, and makes the directory that it is in.
func (d OS) Rename(from, to string) error {
	if err := d.makeParent(to); err != nil {
		return err
	}
	return os.Rename(d.path(from), d.path(to))
}

// Remove removes a file.
func (d OS) Remove(name string) error { return os.Remove(d.path(name)) }

// SyncDir makes durable what was renamed and removed in a directory.
func (d OS) SyncDir(name string) error { return atomicfile.OS{}.SyncDir(d.path(name)) }

// List returns the files in a directory, by their names; none if it does not exist.
func (d OS) List(name string) ([]Info, error) {
	entries, err := os.ReadDir(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []Info
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			files = append(files, Info{e.Name(), info.Size()})
		}
	}
	return files, nil
}

// Dirs returns the directories in it, by their names.
func (d OS) Dirs() (dirs []string, err error) {
	entries, err := os.ReadDir(string(d))
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	return dirs, err
}

type osFile struct{ *os.File }

// InPlace returns nil if what has the file's name is this file.
func (f osFile) InPlace(size int64) error {
	there, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return errRemoved
	}
	if err != nil {
		return nil // it is not known; whatever uses the directory next reports it
	}
	mine, err := f.Stat()
	switch {
	case err == nil && !os.SameFile(mine, there):
		return errReplaced
	case err == nil && mine.Size() < size:
		return errCutOff
	}
	return nil
}
