package backup

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sensorgateway/gateway/atomicfile"
)

// maxJSON bounds what the head and the sums of a backup take.
const maxJSON = 16 << 20

// ErrDamaged is the error of a file that is not, or no longer, a backup.
var ErrDamaged = errors.New("it is damaged")

// Check reads a backup, and compares each of its files with its sum.
func Check(path string) (Summary, error) {
	return scan(path, func(string, fs.FileMode, io.Reader) error { return nil })
}

// scan reads a backup once: take is called with each of its files, and need not read it.
// Only when it returns nil they are what they were.
func scan(path string, take func(name string, mode fs.FileMode, content io.Reader) error) (s Summary, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return s, fmt.Errorf("%w: it does not begin as a backup of a gateway does, or is cut short", ErrDamaged)
	}
	r := reader{unzipped: unzipped, tar: tar.NewReader(unzipped), take: take}
	if err := r.run(); err != nil {
		return s, err
	}
	return r.Summary, r.whole()
}

type reader struct {
	Summary
	unzipped *gzip.Reader
	tar      *tar.Reader
	take     func(name string, mode fs.FileMode, content io.Reader) error
	sums     []sum
}

// whole reads to the end, where the checksum of gzip is: of all that is in the file.
func (r *reader) whole() error {
	if _, err := io.Copy(io.Discard, r.unzipped); err != nil {
		return damaged("its end", err)
	}
	return nil
}

// noted is a reader whose error is known afterwards.
type noted struct {
	io.Reader
	err error
}

func (n *noted) Read(b []byte) (int, error) {
	k, err := n.Reader.Read(b)
	if err != io.EOF {
		n.err = err
	}
	return k, err
}

func (r *reader) run() error {
	if err := r.head(); err != nil {
		return err
	}
	for {
		header, err := r.tar.Next()
		if err == io.EOF {
			return fmt.Errorf("%w: its end is missing", ErrDamaged)
		} else if err != nil {
			return damaged("after "+r.last(), err)
		}
		if header.Name == sumsName {
			return r.compare()
		}
		if header.Typeflag != tar.TypeReg || !fs.ValidPath(header.Name) || path.Base(header.Name) == lockFile || strings.Contains(header.Name, "\\") {
			return fmt.Errorf("%w: %q does not belong into a backup", ErrDamaged, header.Name)
		}
		hash := sha256.New()
		content := &noted{Reader: io.TeeReader(r.tar, hash)}
		err = r.take(header.Name, fs.FileMode(header.Mode).Perm(), content)
		if err == nil {
			_, err = io.Copy(io.Discard, content)
		}
		if content.err != nil {
			return damaged(header.Name, content.err)
		} else if err != nil {
			return err
		}
		r.sums = append(r.sums, sum{header.Name, header.Size, hex.EncodeToString(hash.Sum(nil))})
		r.Files++
		r.Bytes += header.Size
	}
}

// last is the name of the last file that was read.
func (r *reader) last() string {
	if len(r.sums) == 0 {
		return headName
	}
	return r.sums[len(r.sums)-1].Name
}

func (r *reader) head() error {
	header, err := r.tar.Next()
	if err != nil {
		return damaged("its begin", err)
	}
	if header.Name != headName {
		return fmt.Errorf("%w: it begins with %q, and not as a backup of a gateway does", ErrDamaged, header.Name)
	}
	if err := r.json(&r.Head); err != nil {
		return damaged(headName, err)
	}
	if r.Backup != version {
		if err := r.whole(); err != nil {
			return err
		}
		return fmt.Errorf("it has version %d of the format, and this program (of %s) reads version %d: use the version of the gateway that made it, %s", r.Backup, r.Gateway, version, r.Version)
	}
	return nil
}

func (r *reader) compare() error {
	var want []sum
	if err := r.json(&want); err != nil {
		return damaged(sumsName, err)
	}
	for i := range max(len(want), len(r.sums)) {
		switch {
		case i >= len(r.sums):
			return fmt.Errorf("%w: %s is missing", ErrDamaged, want[i].Name)
		case i >= len(want) || want[i].Name != r.sums[i].Name:
			return fmt.Errorf("%w: %s does not belong into it", ErrDamaged, r.sums[i].Name)
		case want[i] != r.sums[i]:
			return fmt.Errorf("%w: the checksum of %s does not match", ErrDamaged, want[i].Name)
		}
	}
	return nil
}

func (r *reader) json(into any) error {
	data, err := io.ReadAll(io.LimitReader(r.tar, maxJSON))
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	return err
}

// damaged is the error of a backup that cannot be read there.
func damaged(where string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends at %s", ErrDamaged, where)
	}
	return fmt.Errorf("%w: %s: %v", ErrDamaged, where, err)
}

const (
	stageDir = "restore" + atomicfile.TempSuffix // what is not complete
	oldDir   = "replaced" + atomicfile.TempSuffix
)

// InUse returns what a state directory has that a backup would replace.
func InUse(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if name := e.Name(); name != lockFile && name != stageDir && name != oldDir {
			names = append(names, name)
		}
	}
	return names, err
}

// Restore replaces what a state directory has by a backup. The caller holds the
// directory's lock, and has checked the file. Until all of it is on the disk, nothing is
// replaced; after a crash later than that, restoring again ends it.
func Restore(path, dir string) (s Summary, err error) {
	stage, old := filepath.Join(dir, stageDir), filepath.Join(dir, oldDir)
	if err := errors.Join(os.RemoveAll(stage), os.RemoveAll(old), os.MkdirAll(stage, 0o700), os.MkdirAll(old, 0o700)); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage), os.RemoveAll(old)) }()
	s, err = scan(path, func(name string, mode fs.FileMode, content io.Reader) error {
		return put(filepath.Join(stage, filepath.FromSlash(name)), mode, content)
	})
	if err == nil {
		err = own(stage, dir)
	}
	if err != nil {
		return s, err
	}
	if err := exchange(dir, stage, old); err != nil {
		return s, err
	}
	return s, own(filepath.Join(dir, lockFile), dir) // a file that root made would lock the service out
}

// put writes a file, and makes the directories that it is in: who may not read the file
// may not see its name.
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

// exchange moves what is restored into the directory. The numbers go first: whatever
// happens from then on, a gateway that starts here begins another epoch.
func exchange(dir, stage, old string) error {
	if err := os.Remove(filepath.Join(dir, numbersFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sync := func(dir string) error { return atomicfile.OS{}.SyncDir(dir) }
	if err := sync(dir); err != nil {
		return err
	}
	there, err := InUse(dir)
	if err != nil {
		return err
	}
	restored, err := os.ReadDir(stage)
	if err != nil {
		return err
	}
	fresh := map[string]bool{} // true for a file: it replaces one at once
	for _, e := range restored {
		fresh[e.Name()] = !e.IsDir()
	}
	for _, name := range there {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err == nil && !(fresh[name] && info.Mode().IsRegular()) {
			err = os.Rename(filepath.Join(dir, name), filepath.Join(old, name))
		}
		if err != nil {
			return err
		}
	}
	for name := range fresh {
		if err := os.Rename(filepath.Join(stage, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return sync(dir)
}
