//go:build !linux

package doctor

import (
	"errors"
	"io/fs"
)

func groupName(fs.FileInfo) string { return "" }

func freeBytes(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }

func mayWrite(string) error { return errors.ErrUnsupported }
