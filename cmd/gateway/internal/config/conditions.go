package config

import (
	"fmt"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/condition"
	"sensorgateway/wire"
)

// parseWith parses a condition on the configured sensors. If it is on one that is not
// there, the error says which are; if there is none at all, that is noted already.
func parseWith[T any](sensors []wire.SensorInfo, parse func(condition.Find) (T, error)) (T, error) {
	unknown := ""
	c, err := parse(func(name string) (*wire.SensorInfo, bool) {
		for i := range sensors {
			if sensors[i].Name == name {
				return &sensors[i], true
			}
		}
		unknown = name
		return nil, false
	})
	switch {
	case err == nil || unknown == "":
		return c, err
	case len(sensors) == 0:
		return c, nil
	}
	names := sensorNames(sensors)
	fix := "write " + phrase.OneOf(names)
	if near := phrase.Nearest(unknown, names); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
	}
	return c, fmt.Errorf("no sensor is named %s (%s)", phrase.Quote(unknown), fix)
}
