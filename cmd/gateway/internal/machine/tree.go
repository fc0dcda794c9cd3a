package machine

import (
	"io/fs"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/host"
	"sensorgateway/sensors/sim/tree"
)

// Tree returns where the kernel shows the sensors that it reads itself: the machine's
// root directory, or that of an emulated machine if simulate is not nil.
func Tree(cfg *config.Config, simulate *Simulation, root string) (fs.FS, error) {
	if simulate == nil {
		return host.Root(root), nil
	}
	emulated := tree.New(simulate.environment, simulate.seed)
	for _, s := range cfg.Sensors {
		if s.Class == "" || s.Further != "" {
			continue
		}
		if err := emulated.Add(s.Class, s.Device, s.ID, placeOf(s.Name)); err != nil {
			return nil, err
		}
	}
	if simulate.flaky {
		emulated.SetFlaky()
	}
	return emulated, nil
}
