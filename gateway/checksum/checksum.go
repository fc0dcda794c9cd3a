// Package checksum reads and writes files that are a line of text and its checksum:
// people can read them, and damage is noticed.
//
// It refuses to know what the line says, and where the file is.
package checksum

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrDamaged says that a file is not as it was written.
var ErrDamaged = errors.New("its checksum does not match")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append returns a line, and one with its CRC-32C in hexadecimal.
func Append(line []byte) []byte {
	return fmt.Appendf(line, "\n%08x\n", crc32.Checksum(line, castagnoli))
}

// Cut is the inverse of [Append].
func Cut(data []byte) (line []byte, err error) {
	line, sum, _ := bytes.Cut(data, []byte("\n"))
	if string(sum) != fmt.Sprintf("%08x\n", crc32.Checksum(line, castagnoli)) {
		return nil, ErrDamaged
	}
	return line, nil
}
