//go:build !linux

package field

import (
	"errors"
	"io/fs"
)

// mapRegisters fails: only Linux shows a Raspberry Pi's registers.
func mapRegisters(string, int) ([]byte, func(), error) { return nil, nil, errors.ErrUnsupported }

func groupName(fs.FileInfo) string { return "i2c" }

func freeBytes(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }

func mayWrite(string) error { return errors.ErrUnsupported }
