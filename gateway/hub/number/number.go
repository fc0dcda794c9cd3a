// Package number numbers the orders of a hub: each number is larger than all that were given
// out before, also by earlier starts. A gateway that stays up refuses an order whose number is
// not, and a hub's clock, by which numbers begin, may be set back.
//
// It refuses to know what is numbered.
package number

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/checksum"
)

// spare is how many numbers are reserved at once: a number is a µs at the start, so a hub that
// is killed begins a second later at most.
const spare = 1_000_000

// Numbers gives out numbers.
type Numbers struct {
	path string

	mu             sync.Mutex
	last, reserved uint64
}

// Open continues behind what the file at path has reserved, or begins at now if that is
// larger. A file that cannot be used is logged: then it begins at now.
func Open(path string, now time.Time, log *slog.Logger) *Numbers {
	n := &Numbers{path: path, last: uint64(max(now.UnixMicro(), 0))}
	stored, err := read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("it is not known how far orders were numbered: gateways refuse them for a while if the clock was set back", "file", path, "err", err)
	}
	n.last = max(n.last, stored)
	return n
}

func read(path string) (uint64, error) {
	data, err := atomicfile.Read(path)
	if err != nil {
		return 0, err
	}
	line, err := checksum.Cut(data)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(line), 10, 64)
}

// Next returns the next number. It waits for no disk, and gives numbers also if none can be
// reserved: a stop must be sent.
func (n *Numbers) Next() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	return n.last
}

// Reserve stores up to where numbers may be given out, if few of those are left. It is to be
// called at the start, and again and again, by one goroutine at a time.
func (n *Numbers) Reserve() error {
	n.mu.Lock()
	last, reserved := n.last, n.reserved
	n.mu.Unlock()
	if last+spare/2 < reserved {
		return nil
	}
	err := os.MkdirAll(filepath.Dir(n.path), 0o750)
	if err == nil {
		err = atomicfile.Write(n.path, 0o600, func(f *os.File) error {
			_, err := f.Write(checksum.Append(strconv.AppendUint(nil, last+spare, 10)))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("the numbers of orders cannot be stored: %w", err)
	}
	n.mu.Lock()
	n.reserved = last + spare
	n.mu.Unlock()
	return nil
}
