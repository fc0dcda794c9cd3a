package collect

import (
	"cmp"
	"slices"
	"strings"
)

// Gap is numbers of a sensor's epoch that are missing between those that are there, or
// were never made: after Since, up to Until.
type Gap struct {
	Sensor, Epoch string
	Since, Until  uint32
}

// Missing returns what is missing of a gateway, by sensor, epoch and number.
func (c *Collection) Missing(gateway string) (all []Gap, err error) {
	l := c.log(gateway)
	l.order.Lock()
	defer l.order.Unlock()
	if err := l.load(); err != nil {
		return nil, err
	}
	for k, there := range l.there {
		list := there.spans
		for i := 1; i < len(list); i++ {
			all = append(all, Gap{k.sensor, k.epoch, list[i-1].last, list[i].first - 1})
		}
	}
	slices.SortStableFunc(all, func(a, b Gap) int { // those of a stream are in order
		return cmp.Or(strings.Compare(a.Sensor, b.Sensor), strings.Compare(a.Epoch, b.Epoch))
	})
	return all, nil
}
