//go:build linux

package main

import (
	"context"
	"math"
	"path/filepath"
	"time"

	"sensorgateway/gateway/history"
	"sensorgateway/wire"
)

// writeDay fills a gateway's state directory with a day of readings of one sensor,
// ten times a second up to now.
func writeDay(ctx context.Context, state, sensor string) error {
	l, err := history.Open(history.Options{Dir: filepath.Join(state, "log"), Sensors: []string{sensor}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	l.Begin("day", []uint32{1})
	const ticks = 24 * 3600 * 10
	at := time.Now().UnixMilli() - ticks*100
	for i := range ticks {
		phase := float64(i) / 500
		l.Append([]wire.Record{{Seq: uint32(1 + i), Reading: wire.Reading{
			Values:    [2]float32{float32(20 + 5*math.Sin(phase) + float64(i%7)/100), float32(50 + 9*math.Cos(phase))},
			UnixMilli: at + int64(i)*100,
		}}}, 0)
	}
	cancel()
	return <-ended
}
