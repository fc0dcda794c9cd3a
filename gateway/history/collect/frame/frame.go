// Package frame is the files of the intake of a hub, byte by byte: frames of blocks, one
// after the other. It finds those that are whole.
//
// It knows bytes. It refuses to know when a file is written, and what becomes of it.
package frame

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"sensorgateway/gateway/history/codec"
)

// A frame is
//
//	offset  size
//	0       4     magic "sgwi"
//	4       4     CRC-32C of the rest of the frame
//	8       4     length of the frame
//	12            string: the gateway
//	              blocks
const (
	magic = 0x73677769 // "sgwi"
	head  = 12
	// Max is the greatest length of a frame.
	Max = 1 << 20
)

// Format returns the frame of a gateway's blocks, and where in it they begin.
func Format(gateway string, blocks [][]byte) (frame []byte, at int) {
	b := codec.AppendString(make([]byte, head, 256), gateway)
	at = len(b)
	for _, x := range blocks {
		b = append(b, x...)
	}
	binary.BigEndian.PutUint32(b, magic)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)))
	binary.BigEndian.PutUint32(b[4:], codec.Checksum(b[8:]))
	return b, at
}

// Read calls block for each block of a file, and skip for bytes that are not of a whole frame:
// last, if no whole one follows. A frame at a time is in memory.
func Read(f io.ReaderAt, block func(gateway string, at int64, size int), skip func(at, size int64, last bool)) error {
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, math.MaxInt64), Max)
	for at := int64(0); ; {
		frame, skipped, err := next(r)
		if err != nil {
			return err
		}
		if skipped > 0 {
			skip(at, skipped, len(frame) == 0)
		}
		if len(frame) == 0 {
			return nil
		}
		at += skipped
		gateway, from, size := cut(frame)
		for from < size {
			_, length, err := codec.ParseBlock(frame[from:size])
			if err != nil {
				return fmt.Errorf("block at %d: %w", at+int64(from), err)
			}
			block(gateway, at+int64(from), length)
			from += length
		}
		at += int64(size)
		_, _ = r.Discard(size) // it is in the buffer
	}
}

// next returns the next whole frame of a file, which stays in the reader, and how many
// bytes before it are skipped; none if there is none.
func next(r *bufio.Reader) (frame []byte, skipped int64, err error) {
	for {
		frame, err = r.Peek(head)
		if len(frame) == head && binary.BigEndian.Uint32(frame) == magic {
			frame, err = r.Peek(int(min(max(binary.BigEndian.Uint32(frame[8:]), head), Max)))
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, skipped, err
		}
		if _, _, size := cut(frame); size > 0 || len(frame) == 0 {
			return frame, skipped, nil
		}
		n, _ := r.Discard(1)
		skipped += int64(n)
	}
}

// cut returns whose frame data begins with, where its blocks begin and its size, 0
// if it is not whole.
func cut(data []byte) (gateway string, at, size int) {
	if len(data) < head || binary.BigEndian.Uint32(data) != magic {
		return "", 0, 0
	}
	size = int(binary.BigEndian.Uint32(data[8:]))
	if size < head || size > Max || size > len(data) || codec.Checksum(data[8:size]) != binary.BigEndian.Uint32(data[4:]) {
		return "", 0, 0
	}
	gateway, rest, ok := codec.CutString(data[head:size])
	if !ok {
		return "", 0, 0
	}
	return gateway, size - len(rest), size
}
