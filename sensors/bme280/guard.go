package bme280

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

// Registers (section 5.3).
const (
	regCalibTP  = 0x88 // 26 bytes: trimming of temperature and pressure, H1
	regID       = 0xD0
	regCalibH   = 0xE1 // 7 bytes: H2 to H6
	regCtrlHum  = 0xF2
	regStatus   = 0xF3
	regCtrlMeas = 0xF4
	regConfig   = 0xF5
	regData     = 0xF7 // 8 bytes: pressure, temperature, humidity
)

const (
	statusCopying = 1 << 0 // the trimming is being copied into its registers

	// pollLimit is when a conversion has failed: the longest takes 9.3 ms with
	// our oversampling (section 9.1). With pollPause it also bounds the number of
	// transfers, and the bus bounds each of those.
	pollLimit = 25 * time.Millisecond
	pollPause = time.Millisecond
)

// guard stands between periph's driver and the bus, because that driver asks the
// status register without pause and for ever, drops the causes of errors, and
// keeps the raw data to itself.
type guard struct {
	i2c.Bus
	err     error     // of the last transfer
	started time.Time // of the conversion
	polls   int       // of the status register since then

	calib [calibSize]byte // as periph read it
	data  [8]byte         // of the last measurement
}

const (
	calibTPSize = 26
	calibSize   = calibTPSize + 7
)

// Tx makes one transfer, or none after [pollLimit].
func (g *guard) Tx(addr uint16, w, r []byte) error {
	g.err = g.tx(addr, w, r)
	return g.err
}

func (g *guard) tx(addr uint16, w, r []byte) error {
	if w[0] == regStatus {
		if g.polls > 0 {
			if d := time.Since(g.started); d > pollLimit {
				return fmt.Errorf("0x%02x on %s: still measuring after %v: %w",
					addr, g.Bus, d.Round(time.Millisecond), wire.Timeout)
			}
			time.Sleep(pollPause)
		}
		g.polls++
	}
	if err := g.Bus.Tx(addr, w, r); err != nil {
		return err
	}
	switch w[0] {
	case regCtrlMeas:
		g.started, g.polls = time.Now(), 0
	case regCalibTP:
		copy(g.calib[:calibTPSize], r)
	case regCalibH:
		copy(g.calib[calibTPSize:], r)
	case regData:
		copy(g.data[:], r)
	}
	return nil
}
