package tokens

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// usedEvery is how often the last uses are written, at most. They are in a file of
// their own: the gateway, which writes it, can so never bring a token back that was
// revoked meanwhile.
const usedEvery = time.Hour

// used is when each entry was last used, by its ID.
type used struct {
	mu      sync.Mutex
	at      map[string]time.Time
	written time.Time
	changed bool
	failed  bool // to be written
}

// LastUsed returns when each token and login of a state directory was last used, by
// ID, as it was written last.
func LastUsed(dir string) map[string]time.Time {
	at, _ := readUsed(dir) // without it, nothing is known
	return at
}

func readUsed(dir string) (map[string]time.Time, error) {
	data, err := os.ReadFile(filepath.Join(dir, usedName))
	if err != nil {
		return map[string]time.Time{}, err
	}
	return parseUsed(data)
}

// parseUsed reads a file of last uses. With an error nothing of it is known.
func parseUsed(data []byte) (map[string]time.Time, error) {
	at := map[string]time.Time{}
	if err := json.Unmarshal(data, &at); err != nil {
		return map[string]time.Time{}, err
	}
	for id := range at {
		if !idForm.MatchString(id) {
			return map[string]time.Time{}, errors.New("an entry's id is wrong")
		}
	}
	if at == nil { // null
		at = map[string]time.Time{}
	}
	return at, nil
}

func (u *used) load(dir string, log *slog.Logger) {
	at, err := readUsed(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("when tokens were last used cannot be read", "file", filepath.Join(dir, usedName), "err", err)
	}
	u.at, u.written = at, time.Now()
}

func (u *used) note(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at[id], u.changed = now(), true
}

// retain forgets all entries but some.
func (u *used) retain(known map[string]bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.at, func(id string, _ time.Time) bool { return !known[id] })
}

func (u *used) last(id string) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[id]
}

func (u *used) writeHourly(dir string, log *slog.Logger) {
	u.mu.Lock()
	due := time.Since(u.written) >= usedEvery
	u.mu.Unlock()
	if due {
		u.write(dir, log)
	}
}

// write writes the file if something has changed.
func (u *used) write(dir string, log *slog.Logger) {
	u.mu.Lock()
	u.written = time.Now()
	data, err := json.MarshalIndent(u.at, "", "\t")
	changed := u.changed
	u.changed = false
	u.mu.Unlock()
	if !changed || dir == "" {
		return
	}
	if err == nil {
		err = write(dir, usedName, append(data, '\n'))
	}
	if err != nil && !u.failed {
		log.Warn("when tokens were last used cannot be written", "err", err)
	}
	u.failed = err != nil
}
