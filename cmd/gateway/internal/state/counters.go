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

// counters are the sensors' next numbers in a small file in memory, written
// before a number is used. It outlives a process that is killed, and not the
// machine: so after SIGKILL the numbers go on exactly, however slow the disk was,
// and after a power cut the reservation is skipped.
//
// The file: 16 bytes that identify the epoch and the sensors, a uint32 a sensor,
// and the CRC-32C of all that, in network byte order.
type counters struct {
	path string // "" if there is no such memory
	file *os.File
	data []byte
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

// load returns the next numbers that the last run left, nil unless they are of
// this epoch and of these sensors, and whole.
func (c *counters) load(epoch string, sensors []Sensor) []uint32 {
	info, err := os.Lstat(c.path)
	if err != nil || !ownFile(info) {
		return nil
	}
	c.begin(epoch, sensors)
	data, err := os.ReadFile(c.path)
	if err != nil || len(data) != len(c.data) || string(data[:countersKey]) != string(c.data[:countersKey]) {
		return nil
	}
	body := data[:len(data)-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(data[len(body):]) {
		return nil
	}
	next := make([]uint32, len(sensors))
	for i := range next {
		next[i] = binary.BigEndian.Uint32(body[countersKey+4*i:])
	}
	return next
}

// begin sets the epoch and the sensors whose numbers are written from now on.
func (c *counters) begin(epoch string, sensors []Sensor) {
	key := fmt.Appendf(nil, "%q", epoch)
	for _, s := range sensors {
		key = fmt.Appendf(key, "%q", s.Name)
	}
	sum := sha256.Sum256(key)
	c.data = append(append(c.data[:0], sum[:countersKey]...), make([]byte, 4*len(sensors)+4)...)
}

// put writes the next numbers. What cannot be written is removed, and not tried
// again. It allocates nothing but the first time.
func (c *counters) put(next []uint32) error {
	if c.path == "" {
		return nil
	}
	body := c.data[:len(c.data)-4]
	for i, n := range next {
		binary.BigEndian.PutUint32(body[countersKey+4*i:], n)
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
