//go:build !linux

package lines

import "errors"

// mapRegisters fails: only Linux shows a Raspberry Pi's registers.
func mapRegisters(string, int, bool) (registers32, func(), error) {
	return nil, nil, errors.ErrUnsupported
}
