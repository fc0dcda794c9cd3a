package recovery

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/values"
)

// readValues reads what the values of the records are. A file that cannot be used is set
// aside: the values are those that were measured then.
func (r *recovery) readValues() error {
	data, err := ReadValues(r.FS)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil && r.UnreadableFails:
		return err
	case err == nil:
		if r.Values, err = values.Parse(data); err == nil {
			r.ValuesSize = int64(len(data))
			return nil
		}
	}
	r.ValuesErr = fmt.Errorf("%s cannot be used, so readings are as they were measured, without what corrected them: %w", values.FileName, err)
	return r.setAside(values.FileName, r.ValuesErr)
}

// ReadValues reads the file of what the values are, as it is now.
func ReadValues(files interface {
	Open(name string, write bool) (disk.File, error)
}) ([]byte, error) {
	f, err := disk.Retry(func() (disk.File, error) { return files.Open(values.FileName, false) })
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, values.MaxFile+1))
}
