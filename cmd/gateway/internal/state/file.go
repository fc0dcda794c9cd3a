package state

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/checksum"
)

const stateFile = "state.json"

// savedState is the file: a line of JSON, and one with its CRC-32C.
type savedState struct {
	Epoch string            `json:"epoch"`
	Next  map[string]uint32 `json:"next_seq"` // the first that was not used, by the sensor's name
	// Reached has, while a gateway runs, the first numbers that were not used when the
	// file was written; those from there to Next are reserved.
	Reached map[string]uint32 `json:"reached,omitempty"`
	// Born is when the file was made: a copy was made later. Zero where the file
	// system does not say.
	Born time.Time `json:"born,omitzero"`
}

// load returns what the file says, and a new epoch if it says nothing usable.
func (s *State) load() savedState {
	fresh := savedState{Epoch: rand.Text(), Next: map[string]uint32{}}
	if s.opts.Dir == "" {
		return fresh
	}
	path := filepath.Join(s.opts.Dir, stateFile)
	data, born, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if s.opts.Numbers == nil || s.opts.Numbers.Epoch() == "" {
			return fresh
		}
		err = errors.New("it is missing, and there are readings: something else has removed it")
	}
	var saved savedState
	if err == nil {
		var newer bool
		if saved, newer, err = parseState(data); newer {
			atomicfile.CopyNewer(s.opts.Log, path, data)
		} else if err != nil {
			err = atomicfile.SetAside(path, err)
		}
		if err == nil && isCopy(saved.Born, born) {
			err = fmt.Errorf("restored from a copy: it says that it was made at %v, and was at %v", saved.Born, born)
		}
	}
	if err != nil {
		s.opts.Log.Warn("sequence numbers cannot be continued: a new epoch begins", "file", path, "err", err)
		return fresh
	}
	return saved
}

// isCopy reports whether a file is a copy: it says that it was made at then, and was
// made at now. Numbers may have been used since that it does not know. Inode numbers
// would prove nothing more. On FAT they change by themselves, and so do the times at
// which files were made; FAT is known by these, which it rounds to 10 ms.
func isCopy(then, now time.Time) bool {
	coarse := now.Nanosecond()%int(10*time.Millisecond) == 0
	return !then.IsZero() && !now.IsZero() && !coarse && !then.Equal(now)
}

// readFile returns the content of a file and when it was made.
func readFile(path string) (data []byte, born time.Time, err error) {
	if err := atomicfile.Regular(path); err != nil {
		return nil, born, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, born, err
	}
	defer f.Close()
	data, err = io.ReadAll(f)
	return data, birthTime(f), err
}

func (s savedState) format() ([]byte, error) {
	line, err := json.Marshal(s)
	return checksum.Append(line), err
}

// parseState returns what a file says, and whether a newer version of the gateway
// wrote it: what that says besides does not change what this one knows. It is an error
// if even that cannot be used.
func parseState(data []byte) (s savedState, newer bool, err error) {
	line, err := checksum.Cut(data)
	if err != nil {
		return s, false, err
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if d.Decode(&s) != nil {
		s = savedState{}
		newer, err = true, json.Unmarshal(line, &s)
	}
	if err == nil && (s.Epoch == "" || s.Next == nil) {
		err = errors.New("it lacks the epoch or the numbers")
	}
	return s, newer && json.Valid(line), err
}

// write replaces the file. Its time of birth stays with it when it is renamed.
func (s savedState) write(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, stateFile), 0o640, func(f *os.File) error {
		s.Born = birthTime(f)
		data, err := s.format()
		if err == nil {
			_, err = f.Write(data)
		}
		return err
	})
}
