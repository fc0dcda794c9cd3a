// Package memoryfile keeps a small value in a file in memory, for the process that goes
// on after this one was killed. Each [File.Put] replaces the value as a whole, at the
// cost of a copy: no system call, no allocation, and nothing to wait for. A kill at any
// moment leaves the old value or the new one. A restart of the machine leaves none.
//
// It knows files and memory; not what the value is, nor who reads it.
package memoryfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"sensorgateway/gateway/atomicfile"
)

// The file: magic; the capacity of each of two slots; the count of writes, whose lowest
// bit says which slot has the value; the slots, each a length and as many bytes. A value
// is written to the other slot, and then counted: whoever reads after the end of the
// process finds all that it had stored before the count. Numbers are in network byte
// order, except the count, which only processes of this machine read.
const (
	magic      = "sgwmem1\n"
	capacityAt = 8
	countAt    = 16
	headerSize = 64
	slotHeader = 4
	fileMax    = 1 << 20 // bytes; what is larger is not one of these
)

// File is a value that this process replaces. One goroutine at a time uses it.
type File struct {
	path     string
	mapped   []byte
	count    *atomic.Uint32 // in mapped
	capacity int
}

// Create replaces the file at path by one of this capacity in bytes, with a first
// value, nil for none. It writes to no file that another user has put there.
func Create(path string, capacity int, first []byte) (*File, error) {
	temp := path + atomicfile.TempSuffix
	if err := Remove(temp); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, capacity: capacity}
	if f.mapped, err = mapFile(file, int64(headerSize+2*slotSize(capacity))); err == nil {
		f.count = (*atomic.Uint32)(unsafe.Pointer(&f.mapped[countAt]))
		binary.BigEndian.PutUint32(f.mapped[capacityAt:], uint32(capacity))
		copy(f.mapped, magic)
		if first != nil {
			err = f.Put(first)
		}
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), Remove(temp))
	}
	return f, nil
}

// slotSize is a multiple of the size of a cache line.
func slotSize(capacity int) int { return (slotHeader + capacity + 63) &^ 63 }

// slot returns the slot that has the value after so many writes.
func slot(file []byte, capacity int, count uint32) []byte {
	return file[headerSize+int(count&1)*slotSize(capacity):][:slotHeader+capacity]
}

// Put replaces the value by the parts, one after another. If it reports that the file
// was cut off, by something else, the file cannot be used any more.
func (f *File) Put(parts ...[]byte) (err error) {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	if n > f.capacity {
		return fmt.Errorf("%s has a capacity of %d bytes, not %d", f.path, f.capacity, n)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			err = fmt.Errorf("%s was cut off: %v", f.path, p)
		default:
			panic(p)
		}
	}()
	count := f.count.Load() + 1
	to := slot(f.mapped, f.capacity, count)
	binary.BigEndian.PutUint32(to, uint32(n))
	for at := slotHeader; len(parts) > 0; parts = parts[1:] {
		at += copy(to[at:], parts[0])
	}
	f.count.Store(count)
	return nil
}

// Close ends the use of the file, whose value stays. f may be nil.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	mapped := f.mapped
	f.mapped, f.count = nil, nil
	return unmapFile(mapped)
}

// Remove removes the file at path, if there is one.
func Remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readTries is how often a file is read that changes meanwhile.
const readTries = 4

// Read returns the value that a process has put at path, nil if it has put none, or if
// what is there is not a file that [Create] made: this user's, or, for root, that of the
// owner of a directory which nobody else can write to. The process may go on meanwhile.
func Read(path string) []byte {
	for range readTries {
		b := read(path)
		if again := read(path); b == nil || again != nil && bytes.Equal(again[:headerSize], b[:headerSize]) {
			return value(b)
		}
	}
	return nil
}

// read returns a file, nil if it is none of these.
func read(path string) []byte {
	info, err := os.Lstat(path)
	if err != nil || !trusted(path, info) || info.Size() > fileMax {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil || len(b) < headerSize || string(b[:len(magic)]) != magic {
		return nil
	}
	return b
}

// value returns the value of a file.
func value(b []byte) []byte {
	if b == nil {
		return nil
	}
	capacity := int(binary.BigEndian.Uint32(b[capacityAt:])) // may be less than 0 where int has 32 bits
	if capacity < 0 || capacity > fileMax || len(b) != headerSize+2*slotSize(capacity) {
		return nil
	}
	count := binary.NativeEndian.Uint32(b[countAt:])
	from := slot(b, capacity, count)
	n := binary.BigEndian.Uint32(from)
	if count == 0 || n > uint32(capacity) {
		return nil
	}
	return from[slotHeader:][:n]
}
