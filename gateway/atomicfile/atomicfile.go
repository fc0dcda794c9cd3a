// Package atomicfile replaces files as a whole: after a crash or a power cut
// a file has its old content or its new one, never a part of either. It also reads
// files as a whole, and does not wait for a pipe or device that has a file's name.
//
// It knows files and the order in which they must be written and synced; not what
// is in them, nor who else uses their directory: the callers must prevent that two
// processes replace the same file at the same time.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// TempSuffix ends the name of a file that is not complete. A crash can leave one
// behind; the next [Write] of the same path removes it.
const TempSuffix = ".new"

// Dir is what [Commit] needs of a file system; [OS] is the operating system's.
type Dir interface {
	// Rename replaces what has the new name.
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes durable what was renamed and removed in a directory.
	SyncDir(dir string) error
}

// File is a file that [Commit] has yet to name.
type File interface {
	Sync() error
	Close() error
}

// Write replaces the file at path by one that has the content that write gives it
// and exactly this mode, whatever the umask. It is durable when Write returns nil;
// after an error the old file is still there, unless only the last syncs failed.
func Write(path string, mode fs.FileMode, write func(f *os.File) error) error {
	temp := path + TempSuffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s cannot be replaced: %w", path, err)
	}
	// O_EXCL: never through a link that somebody placed there.
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("%s cannot be replaced: %w", path, err)
	}
	return Commit(OS{}, f, temp, path, func() error {
		if err := f.Chmod(mode); err != nil {
			return err
		}
		return write(f)
	})
}

// Commit writes f, which was created in dir as temp, and gives it its name. It
// closes f, and removes it if it could not be renamed.
func Commit(dir Dir, f File, temp, name string, write func() error) error {
	err := write()
	if err == nil {
		err = f.Sync()
	}
	if runtime.GOOS == "windows" { // renames no open file, and NTFS journals the rename
		err = errors.Join(err, f.Close())
		f = nil
	}
	if err == nil {
		err = dir.Rename(temp, name)
	}
	if err != nil {
		err = errors.Join(err, closeFile(f), dir.Remove(temp))
		return fmt.Errorf("%s cannot be replaced: %w", name, err)
	}
	// On FAT, the directory's entry says where a file begins and how long it is, and a
	// rename moves it: only a sync of the file writes that. It comes before the sync of
	// the directory, which without it could lose both files.
	if f != nil {
		err = f.Sync()
	}
	err = errors.Join(err, closeFile(f))
	if err == nil {
		err = dir.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("%s is replaced, but may not survive a power cut: %w", name, err)
	}
	return nil
}

func closeFile(f File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// OS is the operating system's [Dir].
type OS struct{}

// Rename is [os.Rename].
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is [os.Remove].
func (OS) Remove(name string) error { return os.Remove(name) }

// SyncDir does nothing where directories cannot be synced: on Windows, and on
// file systems that say so (fsync(2): EINVAL).
func (OS) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err = d.Sync(); errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
