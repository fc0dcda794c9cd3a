package main

import (
	"errors"
	"path/filepath"
	"time"

	"sensorgateway/gateway/history"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/wire"
)

// memoryHistory bounds what is kept of the readings where there is no directory
// for them: about an hour of eight sensors.
const memoryHistory = 16 << 20 // bytes

// openHistory opens the log of readings. Whatever ails the disk, there is one:
// live goes on.
func (g *running) openHistory() error {
	o := history.Options{
		MaxBytes: g.cfg.History.Size, MaxAge: g.cfg.History.Age, Boot: bootID(), Log: g.log, Changed: g.storageChanged,
	}
	for _, c := range g.cfg.Sensors {
		o.Sensors = append(o.Sensors, c.Name)
	}
	if g.cfg.State == "" {
		o.FS, o.MaxBytes = disk.NewMemory(), memoryHistory
	} else {
		o.Dir = filepath.Join(g.cfg.State, logDir)
	}
	log, err := history.Open(o)
	g.history = &kept{Log: log, inMemory: o.FS != nil}
	return err
}

// kept is the log of readings, and knows whether it is on a disk at all.
type kept struct {
	*history.Log
	inMemory bool
}

// Durable returns why readings are not kept durably, nil if they are.
func (k *kept) Durable() error {
	if k.inMemory {
		return errors.New("readings are kept in memory: there is no state directory")
	}
	return k.Log.Durable()
}

// storageChanged tells the clients that readings are not kept, or are again. The
// log of readings has told the program's log.
func (g *running) storageChanged(err error) {
	e := wire.Event{Kind: wire.EventStorageBack, TS: float64(time.Now().UnixMilli()) / 1000}
	if err != nil {
		e.Kind, e.Reason = wire.EventStorageFailed, err.Error()
	}
	g.server.Event(e)
}
