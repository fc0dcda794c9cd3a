package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

const (
	// file has what is known of a gateway, in the gateway's directory, so that a restarted hub
	// knows all gateways at once.
	file        = "gateway.json"
	fileVersion = 1
	fileMost    = 1 << 20
	// Hello, presence and the end of the audit log are stored soon. What changes every minute
	// is stored once an hour, to leave the disk to the readings.
	saveSoon  = time.Second
	saveLater = time.Hour
	// saveEnd is how long a stopping hub may take to store the latter.
	saveEnd = 5 * time.Second
	// saveFailures is after how many failures the rest waits for the next time: the disk is
	// full or read-only, so writing the others would fail too.
	saveFailures = 8
	// numbersFile has how far orders were numbered. It is no gateway's name.
	numbersFile = "orders.number"
)

// known is the content of a gateway's file.
type known struct {
	Version    int                    `json:"version"`
	Site       string                 `json:"site"`
	Hello      *fleet.Hello           `json:"hello,omitempty"` // with the present motors and alarms
	Received   int64                  `json:"received"`        // when hello came, Unix ms
	Presence   Presence               `json:"presence"`
	Connection uint64                 `json:"connection"`
	Newest     map[string]knownRecord `json:"newest"`
	Stored     int64                  `json:"stored"`
	Bytes      int64                  `json:"bytes"`
	Month      string                 `json:"month"`
	Head       *fleet.AuditHead       `json:"head,omitempty"`
	Device     string                 `json:"device,omitempty"` // that head and audit are of
	Audit      string                 `json:"audit,omitempty"`
}

// knownRecord is a record in bytes: JSON has no number for the NaN of a failed measurement.
type knownRecord struct {
	Epoch      string          `json:"epoch"`
	Record     []byte          `json:"record"` // as on readings.v2
	Quantities []wire.Quantity `json:"quantities"`
}

// known returns what to store of the gateway, and marks it as no longer dirty.
func (r *Remote) known() (k known) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k = known{
		Version: fileVersion, Site: r.site, Received: r.received.UnixMilli(), Presence: r.presence, Connection: r.connection,
		Newest: map[string]knownRecord{}, Stored: r.stored, Bytes: r.bytes, Month: r.month, Head: r.head, Device: r.device, Audit: r.audit,
	}
	if r.hello != nil {
		h := *r.hello
		h.Motors, h.Alarms, h.Recent = r.motors, slices.Clone(r.alarms), slices.Clone(r.recent)
		k.Hello = &h
	}
	for name, n := range r.newest {
		k.Newest[name] = knownRecord{n.epoch, n.record.Append(nil), n.quantities}
	}
	r.dirty, r.saved = false, r.changed
	return k
}

// learn restores what is known of the gateway from its file.
func (r *Remote) learn(k known) error {
	r.site, r.presence, r.connection = k.Site, k.Presence, k.Connection
	r.stored, r.bytes, r.month, r.head, r.device, r.audit = k.Stored, k.Bytes, k.Month, k.Head, k.Device, k.Audit
	if k.Hello != nil {
		r.hello, r.received, r.motors = k.Hello, time.UnixMilli(k.Received), k.Hello.Motors
		r.takeAlarms(k.Hello)
	}
	for name, n := range k.Newest {
		record, err := wire.ParseRecord(n.Record)
		if err != nil {
			return err
		}
		r.newest[name] = newest{n.Epoch, record, n.Quantities}
	}
	return nil
}

// restore reads the files of all gateways. One that cannot be read is skipped, and the hub
// starts all the same: hello comes again.
func (g *Registry) restore() error {
	entries, err := os.ReadDir(g.o.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("what is known of the gateways cannot be read: %w", err)
	}
	for _, e := range entries {
		if fleet.CheckName(e.Name()) != nil {
			continue
		}
		path := filepath.Join(g.o.Dir, e.Name(), file)
		k, err := readKnown(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		r := newRemote(g, fleet.Gateway{Site: k.Site, Name: e.Name()})
		if err == nil {
			err = r.learn(k)
		}
		if err != nil {
			g.o.Log.Warn("what was known of a gateway cannot be read: it is learned again from the gateway", "file", path, "err", err)
			continue
		}
		g.remotes[r.name] = r
	}
	return nil
}

// readKnown reads the file of a gateway.
func readKnown(path string) (k known, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return k, err
	}
	if info.Size() > fileMost {
		return k, fmt.Errorf("%d bytes, of %d at most", info.Size(), fileMost)
	}
	data, err := atomicfile.Read(path)
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return k, err
	}
	if k.Version != fileVersion {
		return k, fmt.Errorf("version %d of the file: this program knows %d", k.Version, fileVersion)
	}
	return k, fleet.CheckName(k.Site)
}

// save stores what has changed until ctx ends, and then once more.
func (g *Registry) save(ctx context.Context) {
	soon := time.NewTicker(saveSoon)
	defer soon.Stop()
	later := g.o.Now().Add(saveLater)
	for {
		select {
		case <-soon.C:
			all := !g.o.Now().Before(later)
			if all {
				later = g.o.Now().Add(saveLater)
			}
			g.saveChanged(ctx, all)
		case <-ctx.Done():
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveEnd)
			defer cancel()
			g.saveChanged(context.WithoutCancel(ctx), false)
			g.saveChanged(ending, true)
			return
		}
	}
}

// saveChanged writes the files of gateways that have something to store soon or, with all,
// of every gateway that has changed. Of failures it says the first, and that there are no more.
func (g *Registry) saveChanged(ctx context.Context, all bool) {
	g.mu.Lock()
	var list []*Remote
	for _, r := range g.remotes {
		r.mu.Lock()
		if r.dirty || all && r.saved != r.changed {
			list = append(list, r)
		}
		r.mu.Unlock()
	}
	g.mu.Unlock()
	err, failures := g.numbers.Reserve(), 0
	for _, r := range list {
		if ctx.Err() != nil {
			return
		}
		if failed := r.write(); failed != nil {
			err = cmp.Or(err, failed)
			if failures++; failures == saveFailures {
				break
			}
		}
	}
	switch {
	case err != nil && !g.unsaved:
		g.o.Log.Warn("what is known of the gateways is not stored; trying again", "err", err)
	case err == nil && g.unsaved:
		g.o.Log.Info("what is known of the gateways is stored again")
	}
	g.unsaved = err != nil
}

func (r *Remote) write() error {
	k := r.known()
	dir := filepath.Join(r.registry.o.Dir, r.name)
	err := os.MkdirAll(dir, 0o750)
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, file), 0o600, func(f *os.File) error {
			_, err := f.Write(wire.JSON(k))
			return err
		})
	}
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.dirty = true
	}
	return err
}
