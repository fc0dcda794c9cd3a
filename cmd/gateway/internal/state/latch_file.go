package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sensorgateway/gateway/atomicfile"
)

const (
	// latchFile has who latched the e-stop in its first line, which is empty if it
	// is not latched, and in its second when, in Unix milliseconds. It is opened at
	// the start and overwritten in place: then neither descriptors nor space on the
	// disk can be lacking when it matters, and what is written survives any death of
	// the process.
	latchFile = "estop"
	// latchSize is the size of the file: less than a sector, so that a cut of power
	// leaves the old or the new.
	latchSize = 128
	nameMax   = latchSize - len("\n") - len("-9223372036854775808\n")
	// unknownPresser latched the e-stop where the file does not say who.
	unknownPresser = "somebody before the restart"
)

// latchText is the content of the file.
func latchText(by string, at time.Time) string {
	text := fmt.Sprintf("%s\n%d\n", latchName(by), at.UnixMilli())
	return text + strings.Repeat(" ", latchSize-len(text))
}

// latchName returns what the file has of a name.
func latchName(by string) string {
	by = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(by, ""))
	return strings.ToValidUTF8(by[:min(len(by), nameMax)], "")
}

// parseLatch reads the content of a file. A file without a whole line was cut short, and
// one with an invalid name was damaged: both count as latched. For a file of an older
// gateway, which has no time, at is now.
func parseLatch(text string) (by string, at time.Time) {
	lines := strings.Split(strings.Trim(text, "\x00"), "\n")
	if by = lines[0]; by == "" && len(lines) == 1 || !utf8.ValidString(by) || strings.ContainsFunc(by, unicode.IsControl) {
		by = unknownPresser
	}
	at = time.Now()
	if len(lines) > 1 {
		if ms, err := strconv.ParseInt(lines[1], 10, 64); err == nil {
			at = time.UnixMilli(ms)
		}
	}
	return by, at
}

// newerLatch returns whether a newer version of the gateway wrote a file: it has more
// than this one writes.
func newerLatch(text string) bool {
	lines := strings.SplitN(strings.TrimRight(text, "\x00"), "\n", 3)
	return len(lines) == 3 && strings.TrimRight(lines[2], " \n") != ""
}

// latchStore is what a Latch uses of a file.
type latchStore interface {
	io.WriterAt
	io.Closer
	Sync() error
	// InPlace returns nil if the file is still the one that the next start will read.
	InPlace() error
}

type latchOSFile struct {
	*os.File
	path string
}

func openLatch(path string) (latchStore, error) {
	if err := atomicfile.Regular(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) { // creating waits for a file system that is frozen, opening does not
		if err = os.MkdirAll(filepath.Dir(path), 0o750); err == nil {
			f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o640)
		}
	}
	if err != nil {
		return nil, err
	}
	return latchOSFile{f, path}, nil
}

func (f latchOSFile) InPlace() error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if !os.SameFile(mine, there) {
		return fmt.Errorf("%s was replaced by another file", f.path)
	}
	return nil
}

// writeLatch writes the text to a file that is in place.
func writeLatch(file latchStore, text string) error {
	if _, err := file.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	return file.InPlace()
}
