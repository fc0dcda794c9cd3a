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

	"sensorgateway/gateway/memoryfile"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// counters are the sensors' next numbers in a small file in memory, written
// before a number is used. It outlives a process that is killed, and not the
// machine: so after SIGKILL the numbers go on exactly, however slow the disk was,
// and after a power cut the reservation is skipped.
//
// The value: 16 bytes that identify the sensors; a uint32 a sensor, the next number;
// another, the first that is not reserved on the disk; the epoch; and the CRC-32C of
// all that, in network byte order.
type counters struct {
	path string // "" if there is no such memory
	file *memoryfile.File
	data []byte // its value
}

const (
	countersKey = 16  // bytes
	epochMax    = 200 // bytes that another epoch may be longer

	everybodysMemory = "/dev/shm"
)

// MemoryDir returns a directory of files in memory: the service's own, for systemd
// removes what its user leaves in others, or else everybody's.
func MemoryDir(getenv func(string) string) string {
	if dir, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	return everybodysMemory
}

// MemoryFile returns the path of a file in memory that belongs to the state in dir, in
// this boot; "" if there is none. suffix is the end of its name: each kind has its own.
func MemoryFile(memory, dir, boot, suffix string) string {
	return memoryFile(memory, dir, boot, suffix, os.Geteuid())
}

func memoryFile(memory, dir, boot, suffix string, user int) string {
	abs, err := filepath.Abs(dir)
	if memory == "" || dir == "" || boot == "" || err != nil {
		return ""
	}
	id := sha256.Sum256(fmt.Append(nil, boot, user, abs))
	return filepath.Join(memory, fmt.Sprintf("gateway-%x%s", id[:16], suffix))
}

// MemoryFiles returns where a gateway may have such a file, for a command, which does not
// know the unit's directory. The user in its name is the one who owns the state.
func MemoryFiles(dir, boot, suffix string) (paths []string) {
	for _, memory := range []string{"/run/gateway", everybodysMemory} {
		paths = append(paths, memoryFile(memory, dir, boot, suffix, ownerOf(dir)))
	}
	return paths
}

// load returns the epoch, the next numbers and what is reserved, as the last run left
// them; no numbers unless they are of these sensors, and whole.
func (c *counters) load(sensors []Sensor) (epoch string, next, limit []uint32) {
	data := memoryfile.Read(c.path)
	begin := countersKey + 8*len(sensors)
	if len(data) < begin+4 || [countersKey]byte(data) != identify(sensors) {
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
		c.file, err = memoryfile.Create(c.path, len(c.data)+epochMax, c.data)
	} else {
		err = c.file.Put(c.data)
	}
	if err != nil {
		err = errors.Join(err, c.remove())
		c.path = ""
	}
	return err
}

// remove removes the file, or that of an earlier run.
func (c *counters) remove() error {
	if c.path == "" {
		return nil
	}
	file := c.file
	c.file = nil
	return errors.Join(file.Close(), memoryfile.Remove(c.path))
}
