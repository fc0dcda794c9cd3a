package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// disk are the open files of a log.
type disk struct {
	key     []byte
	writers []*writer

	anchored  time.Time // when the last anchor was written
	anchorDue bool
	grown     bool // there may be more files than are kept
	logged    time.Time
}

func (d *disk) chain(name string) *writer {
	for _, w := range d.writers {
		if w.chain == name {
			return w
		}
	}
	panic("audit: no chain " + name)
}

func (d *disk) close() {
	for _, w := range d.writers {
		if w.file != nil {
			_ = w.file.Close() // it is synced
		}
	}
}

// open opens the files. What is wrong with them is logged; missing records become a record.
func (l *Log) open() (*disk, error) {
	for _, dir := range []string{l.opts.Dir, filepath.Dir(l.opts.Key), filepath.Dir(l.opts.Anchor)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	key, err := readKey(l.opts.Key, true)
	if err != nil {
		return nil, err
	}
	marks, err := readAnchor(l.opts.Anchor, key)
	if err != nil { // a new one is written over it
		l.opts.Log.Error("the audit log's anchor is not as it was written: what was removed from the log at its end cannot be found", "err", err)
	}
	d := &disk{key: key, logged: time.Now(), grown: true}
	for _, c := range chains {
		w := &writer{dir: l.opts.Dir, chain: c.name, keep: c.files, key: key, write: l.opts.write, fsync: l.opts.sync}
		missing, bad, err := w.resume(marks[c.name])
		if err != nil {
			d.close()
			return nil, err
		}
		d.writers = append(d.writers, w)
		if bad != nil {
			l.opts.Log.Error("the audit log is not as it was written; gateway audit verify says where", "err", bad)
		}
		if missing > 0 {
			l.opts.Log.Error("audit records are missing", "chain", c.name, "records", missing, "before", w.last+1)
			l.missing(w, missing)
		}
	}
	return d, nil
}

// missing adds the record that says how many are missing.
func (l *Log) missing(w *writer, n uint64) {
	r := Record{Kind: KindMissing, At: time.Now().UnixMilli(), Count: int64(n),
		Result: fmt.Sprintf("records %d to %d were written and are missing", w.last+1-n, w.last)}
	if err := w.append(r); err != nil {
		l.failed(fmt.Errorf("an audit record cannot be written: %w", err))
	}
}

// evict removes the oldest files beyond what is kept. The anchor is updated first: else
// [Verify] would report the records that are gone as missing. It returns whether no more
// files remain than are kept.
func (l *Log) evict(d *disk, marks map[string]mark) (done bool) {
	done = true
	for _, w := range d.writers {
		paths, oldest, err := w.evictable()
		if err != nil || paths == nil {
			done = done && err == nil
			continue
		}
		m := marks[w.chain]
		m.Oldest = oldest
		marks[w.chain] = m
		w.setOldest(oldest)
		if err := writeAnchor(l.opts.Anchor, d.key, marks); err != nil {
			l.opts.Log.Warn("the audit log's anchor is not stored, so nothing is evicted", "err", err)
			done = false
			continue
		}
		for _, path := range paths {
			if err := os.Remove(path); err != nil {
				l.opts.Log.Warn("an old file of the audit log cannot be removed", "err", err)
				done = false
			}
		}
	}
	return done
}
