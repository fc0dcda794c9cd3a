package state

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// counters are the sensors' next numbers in a small file in memory, written
// before a number is used. It outlives a process that is killed, and not the
// machine: so after SIGKILL the numbers go on exactly, however slow the disk was,
// and after a power cut the reservation is skipped.
//
// The file: 16 bytes that identify the sensors; a uint32 a sensor, the next number;
// another, the first that is not reserved on the disk; the epoch; and the CRC-32C of
// all that, in network byte order.
type counters struct {
	path string // "" if there is no such memory
	file *os.File
	data []byte // its content
}

const countersKey = 16 // bytes

// MemoryDir returns a directory of files in memory: the service's own, for systemd
// removes what its user leaves in others, or else everybody's.
func MemoryDir(getenv func(string) string) string {
	if dir, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	return "/dev/shm"
}

// countersOf returns the counters in memory of the state in dir, in this boot.
func countersOf(memory, dir, boot string) counters {
	abs, err := filepath.Abs(dir)
	if memory == "" || dir == "" || boot == "" || err != nil {
		return counters{}
	}
	id := sha256.Sum256(fmt.Append(nil, boot, os.Geteuid(), abs))
	return counters{path: filepath.Join(memory, fmt.Sprintf("gateway-%x", id[:16]))}
}

// load returns the epoch, the next numbers and what is reserved, as the last run left
// them; no numbers unless they are of these sensors, and whole.
func (c *counters) load(sensors []Sensor) (epoch string, next, limit []uint32) {
	info, err := os.Lstat(c.path)
	if err != nil || !ownFile(info) {
		return "", nil, nil
	}
	data, err := os.ReadFile(c.path)
	begin := countersKey + 8*len(sensors)
	if err != nil || len(data) < begin+4 || [countersKey]byte(data) != identify(sensors) {
		return "", nil, nil
	}
	body := data[:len(data)-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(data[len(body):]) {
		return "", nil, nil
	}
	for i := range sensors {
		next = append(next, binary.BigEndian.Uint32(body[countersKey+4*i:]))
		limit = append(limit, binary.BigEndian.Uint32(body[countersKey+4*(len(sensors)+i):]))
	}
	return string(body[begin:]), next, limit
}

// identify returns a hash of the sensors.
func identify(sensors []Sensor) [countersKey]byte {
	var names []byte
	for _, s := range sensors {
		names = fmt.Appendf(names, "%q", s.Name)
	}
	sum := sha256.Sum256(names)
	return [countersKey]byte(sum[:])
}

// begin sets the epoch and the sensors whose numbers are written from now on.
func (c *counters) begin(epoch string, sensors []Sensor) {
	key := identify(sensors)
	c.data = append(append(c.data[:0], key[:]...), make([]byte, 8*len(sensors))...)
	c.data = append(append(c.data, epoch...), make([]byte, 4)...)
}

// put writes the next numbers, and the first that are not reserved. What cannot be
// written is removed, and not tried again. It allocates nothing but the first time.
func (c *counters) put(next, limit []uint32) error {
	if c.path == "" {
		return nil
	}
	body := c.data[:len(c.data)-4]
	for i, n := range next {
		binary.BigEndian.PutUint32(body[countersKey+4*i:], n)
		binary.BigEndian.PutUint32(body[countersKey+4*(len(next)+i):], limit[i])
	}
	binary.BigEndian.PutUint32(c.data[len(body):], crc32.Checksum(body, castagnoli))
	var err error
	if c.file == nil {
		err = c.create()
	} else {
		_, err = c.file.WriteAt(c.data, 0)
	}
	if err != nil {
		err = errors.Join(err, c.remove())
		c.path = ""
	}
	return err
}

// create makes the file with all its content at once. It never writes to a file
// that another user placed under one of its names. In memory there is nothing to
// sync, and the file stays open, so gateway/atomicfile is not for it.
func (c *counters) create() error {
	temp := c.path + ".new"
	if err := removeFile(temp); err != nil {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(c.data, 0); err == nil {
		err = os.Rename(temp, c.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), removeFile(temp))
	}
	c.file = f
	return nil
}

// remove removes the file.
func (c *counters) remove() error {
	if c.path == "" {
		return nil
	}
	if c.file != nil {
		_ = c.file.Close() // nothing waits to be written
		c.file = nil
	}
	return removeFile(c.path)
}

// removeFile removes a file if there is one.
func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
