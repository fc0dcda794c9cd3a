package tokens

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"sensorgateway/gateway/statefile"
)

// usedEvery is how often the last uses are written, at most. They are in a file of
// their own, so that the gateway, when it writes them, cannot bring back a token that
// was revoked meanwhile.
const usedEvery = time.Hour

// Use is the last use of a token or a login.
type Use struct {
	At   time.Time `json:"at"`
	From string    `json:"from,omitempty"` // where it was presented, for people
}

// UnmarshalJSON reads a use. Older files have only its time.
func (u *Use) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*u = Use{}
		return json.Unmarshal(data, &u.At)
	}
	type plain Use
	return json.Unmarshal(data, (*plain)(u))
}

// used is the last use of each entry, by its ID.
type used struct {
	mu      sync.Mutex
	at      map[string]Use
	changed bool
	failed  bool // the last write failed
}

// LastUsed returns the last use of each token and login of a state directory, by ID, as
// it was written last.
func LastUsed(dir string) map[string]Use {
	at, _ := readUsed(dir) // without it, nothing is known
	return at
}

func readUsed(dir string) (map[string]Use, error) {
	data, err := statefile.Read(dir, usedName)
	if err != nil {
		return map[string]Use{}, err
	}
	return parseUsed(data)
}

// parseUsed reads a file of last uses. With an error nothing of it is known.
func parseUsed(data []byte) (map[string]Use, error) {
	at := map[string]Use{}
	if err := json.Unmarshal(data, &at); err != nil {
		return map[string]Use{}, err
	}
	for id := range at {
		if !idForm.MatchString(id) {
			return map[string]Use{}, errors.New("an entry's id is wrong")
		}
	}
	if at == nil { // null
		at = map[string]Use{}
	}
	return at, nil
}

func (u *used) load(dir string, log *slog.Logger) {
	at, err := readUsed(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("when tokens were last used cannot be read", "file", filepath.Join(dir, usedName), "err", err)
	}
	u.at = at
}

func (u *used) note(id, from string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at[id], u.changed = Use{now(), from}, true
}

// keep notes that an entry is still in use where it was last. An hour's difference is
// enough to be noted, since that is how often it is written; in both directions, since the
// clock may be set.
func (u *used) keep(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := u.at[id]; time.Since(last.At).Abs() >= usedEvery {
		u.at[id], u.changed = Use{now(), last.From}, true
	}
}

// retain forgets all entries but those that are known.
func (u *used) retain(known map[string]bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.at, func(id string, _ Use) bool { return !known[id] })
}

func (u *used) last(id string) Use {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[id]
}

// all returns all of them, a copy.
func (u *used) all() map[string]Use {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.at)
}

// write writes the file if something has changed.
func (u *used) write(dir string, log *slog.Logger) {
	u.mu.Lock()
	data, err := json.MarshalIndent(u.at, "", "\t")
	changed := u.changed
	u.changed = false
	u.mu.Unlock()
	if !changed || dir == "" {
		return
	}
	if err == nil {
		err = statefile.Write(dir, usedName, append(data, '\n'))
	}
	if err != nil && !u.failed {
		log.Warn("when tokens were last used cannot be written", "err", err)
	}
	u.failed = err != nil
}
