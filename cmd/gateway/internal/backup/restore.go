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
	"strings"
)

// maxJSON bounds what the head and the sums of a backup take.
const maxJSON = 16 << 20

// ErrDamaged is the error of a file that is not, or no longer, a backup.
var ErrDamaged = errors.New("it is damaged")

// Check reads a backup, and compares each of its files with its sum.
func Check(path string) (Summary, error) {
	return scan(path, func(string, fs.FileMode, io.Reader) error { return nil })
}

// scan reads a backup once. It calls take with each file, which take need not read. Only
// if scan returns nil, the files are as they were written.
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

// whole reads to the end of the file, where the checksum of all of it is (gzip).
func (r *reader) whole() error {
	if _, err := io.Copy(io.Discard, r.unzipped); err != nil {
		return damaged("its end", err)
	}
	return nil
}

// noted is a reader that keeps its error.
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
		return damaged("its beginning", err)
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

// damaged returns the error of a backup that cannot be read at that place.
func damaged(where string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends at %s", ErrDamaged, where)
	}
	return fmt.Errorf("%w: %s: %v", ErrDamaged, where, err)
}
