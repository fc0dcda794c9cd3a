package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/format"
)

const (
	stageDir = "restore" + atomicfile.TempSuffix // what is being restored
	oldDir   = "replaced" + atomicfile.TempSuffix
)

// InUse returns what a state directory has that a backup would replace.
func InUse(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if name := e.Name(); name != lockFile && name != lostAndFound && name != stageDir && name != oldDir {
			names = append(names, name)
		}
	}
	return names, err
}

// place is a directory whose files are replaced: the state directory, or one on another
// disk that a symbolic link in it leads to.
type place struct{ dir, stage, old string }

func placeAt(dir string) place {
	return place{dir, filepath.Join(dir, stageDir), filepath.Join(dir, oldDir)}
}

// linkedPlaces are those that links in a state directory lead to, by their names there.
func linkedPlaces(dir string) (map[string]place, error) {
	all := map[string]place{}
	for _, name := range []string{logDir, auditDir} {
		link := filepath.Join(dir, name)
		if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
			continue
		}
		target, err := filepath.EvalSymlinks(link)
		if info, statErr := os.Stat(target); err != nil || statErr != nil || !info.IsDir() {
			return nil, fmt.Errorf("%s is a symbolic link that leads to no directory; fix: mount the disk that it leads to, or remove the link", link)
		}
		all[name] = placeAt(target)
	}
	return all, nil
}

// begin makes two empty directories: for what is being restored, and for what is replaced.
func (p place) begin() error {
	return errors.Join(os.RemoveAll(p.stage), os.RemoveAll(p.old), os.MkdirAll(p.stage, 0o700), os.MkdirAll(p.old, 0o700))
}

func (p place) end() error { return errors.Join(os.RemoveAll(p.stage), os.RemoveAll(p.old)) }

// Restore replaces what a state directory has by a backup. The caller holds the
// directory's lock, and has checked the file. Nothing is replaced until all of the backup
// is on the disk; after a crash later than that, another restore completes it. If the log
// of readings or the audit log is on another disk, it stays there.
//
// latched returns whether an e-stop is latched in a state directory. One that is latched
// now, and was not in the backup, stays: only a reset ends it.
func Restore(path, dir string, latched func(dir string) bool) (s Summary, err error) {
	linked, err := linkedPlaces(dir)
	if err != nil {
		return s, err
	}
	state := placeAt(dir)
	places := []place{state}
	for _, p := range linked {
		places = append(places, p)
	}
	for _, p := range places {
		defer func() { err = errors.Join(err, p.end()) }()
		if err := p.begin(); err != nil {
			return s, err
		}
	}
	s, err = scan(path, func(name string, mode fs.FileMode, content io.Reader) error {
		stage := state.stage
		if first, rest, _ := strings.Cut(name, "/"); linked[first] != (place{}) {
			stage, name = linked[first].stage, rest
		}
		return put(filepath.Join(stage, filepath.FromSlash(name)), mode, content)
	})
	if err == nil && latched(dir) && !latched(state.stage) {
		s.EStopStays, err = true, os.RemoveAll(filepath.Join(state.stage, latchFile))
	}
	for _, p := range places {
		if err == nil {
			err = own(p.stage, p.dir)
		}
	}
	if err != nil {
		return s, err
	}
	if err := forgetNumbers(dir); err != nil {
		return s, err
	}
	for name, p := range linked {
		if err := p.exchange(ofLog); err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
	}
	err = state.exchange(func(name string) bool {
		return linked[name] == (place{}) && !(s.EStopStays && name == latchFile)
	})
	if err != nil {
		return s, err
	}
	return s, own(filepath.Join(dir, lockFile), dir) // a file that root made would lock the service out
}

// ofLog returns whether a file in a linked directory is the gateway's: other programs may
// have files on that disk.
func ofLog(name string) bool {
	switch filepath.Ext(name) {
	case format.JournalSuffix, format.SegmentSuffix, ".jsonl":
		return true
	}
	return false
}

// put writes a file, and makes the directories that it is in: whoever may not read the
// file may not see its name either.
func put(path string, mode fs.FileMode, content io.Reader) error {
	private := fs.FileMode(0o700)
	if mode&0o070 != 0 {
		private = 0o750
	}
	if err := os.MkdirAll(filepath.Dir(path), private); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

// forgetNumbers goes before all else is replaced: whatever happens from then on, a
// gateway that starts here begins another epoch.
func forgetNumbers(dir string) error {
	if err := os.Remove(filepath.Join(dir, numbersFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.OS{}.SyncDir(dir)
}

// exchange moves what is restored into the directory. Files there for whose names replaced
// returns true are removed or overwritten.
func (p place) exchange(replaced func(name string) bool) error {
	there, err := InUse(p.dir)
	if err != nil {
		return err
	}
	restored, err := os.ReadDir(p.stage)
	if err != nil {
		return err
	}
	fresh := map[string]bool{} // true for a file, which replaces another in one step
	for _, e := range restored {
		fresh[e.Name()] = !e.IsDir()
	}
	for _, name := range there {
		if !replaced(name) {
			continue
		}
		info, err := os.Lstat(filepath.Join(p.dir, name))
		if err == nil && !(fresh[name] && info.Mode().IsRegular()) {
			err = os.Rename(filepath.Join(p.dir, name), filepath.Join(p.old, name))
		}
		if err != nil {
			return err
		}
	}
	for name := range fresh {
		if err := os.Rename(filepath.Join(p.stage, name), filepath.Join(p.dir, name)); err != nil {
			return err
		}
	}
	return atomicfile.OS{}.SyncDir(p.dir)
}
