package recovery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
)

// FS is the directory that is read, and in which files are set aside.
type FS interface {
	files
	atomicfile.Dir
}

// files opens and lists files.
type files interface {
	Open(name string, write bool) (disk.File, error)
	List(dir string) ([]disk.Info, error)
}

// DamagedDir is where files are set aside.
const DamagedDir = "damaged"

// SetAside moves a file to the directory "damaged". It returns an error also if a
// power cut may undo that.
func SetAside(fs FS, name string) (to string, err error) {
	there, err := fs.List(DamagedDir)
	if errors.Is(err, syscall.ENOTDIR) { // a file that is not ours has its name
		err = fs.Rename(DamagedDir, fmt.Sprintf("%s.file-%d", DamagedDir, time.Now().UnixNano()))
	}
	if err != nil {
		return "", err
	}
	base := name
	for n := 1; slices.ContainsFunc(there, func(f disk.Info) bool { return f.Name == base }); n++ {
		base = fmt.Sprintf("%s.%d", name, n)
	}
	to = DamagedDir + "/" + base
	if err := fs.Rename(name, to); err != nil {
		return "", err
	}
	return to, errors.Join(fs.SyncDir(DamagedDir), fs.SyncDir(""))
}

// Aside returns the files that SetAside has moved, with the lowest numbers first, and
// leaves out other files.
func Aside(fs FS) ([]disk.Info, error) {
	files, err := disk.Retry(func() ([]disk.Info, error) { return fs.List(DamagedDir) })
	var ours []disk.Info
	for _, f := range files {
		if strings.Contains(f.Name, format.SegmentSuffix) || strings.Contains(f.Name, format.JournalSuffix) {
			ours = append(ours, disk.Info{Name: DamagedDir + "/" + f.Name, Size: f.Size})
		}
	}
	return ours, err
}
