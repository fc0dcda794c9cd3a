package gateway

import (
	"sensorgateway/gateway/api"
	"sensorgateway/wire"
)

// History is the readings that are retained. Its readers return a batch, which is valid
// until the next call, and io.EOF at the present end, after which more may come.
// Records of the past carry [wire.Historical].
type History interface {
	Retained
	Replayer
	api.History // queries
}

// Retained is which numbers of the present epoch can be replayed. Both methods must be
// quick, because a lock is held.
type Retained interface {
	// Kept returns the lowest number beyond after from which on nothing is lost.
	Kept(sensor uint16, after uint32) (from uint32)
	// Oldest returns the first number.
	Oldest(sensor uint16) (seq uint32, ok bool)
}

// A Replayer reads for clients that resume.
type Replayer interface {
	// Since reads the records of this epoch beyond after, in order.
	Since(sensor uint16, after uint32) (next func() ([]wire.Record, error))
	// Follow reads the records made at from or later, Unix milliseconds, of any
	// epoch, and does not end. Each batch has a mark. A later Follow with the mark of
	// a batch and the number of a record in it reads what comes behind that record,
	// even if time was set back meanwhile. Mark 0 is the beginning.
	Follow(sensor uint16, from, mark int64, after uint32) (next func() (records []wire.Record, mark int64, err error))
}
