package field

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"sensorgateway/cmd/gateway/internal/chips"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/sensors"
	"sensorgateway/sensors/kernel"
)

// kernelScanned is what a part of the kernel has of sensors.
type kernelScanned struct {
	Kernel string         `json:"kernel"` // w1, hwmon or iio
	Found  []kernelAnswer `json:"found"`
}

// kernelAnswer is a sensor that the kernel has.
type kernelAnswer struct {
	Name   string `json:"name"` // the kernel's
	ID     string `json:"id"`
	Chip   string `json:"chip"`             // what to write in the configuration
	Device string `json:"device,omitempty"` // as well
	Model  string `json:"model"`
	alone  bool   // of its name
}

// scanKernel lists the sensors that the kernel has. Nothing is read.
func scanKernel(cfg *config.Config, simulate *machine.Simulation, root string) (all []kernelScanned, err error) {
	tree, err := machine.Tree(cfg, simulate, root)
	if err != nil {
		return nil, err
	}
	for _, class := range []kernel.Class{kernel.W1, kernel.Hwmon, kernel.IIO} {
		devices, err := kernel.List(tree, class)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		k, counts := kernelScanned{Kernel: string(class)}, map[string]int{}
		for _, d := range devices {
			counts[d.Name]++
		}
		for _, d := range devices {
			a := kernelAnswer{Name: d.Name, ID: d.ID, Chip: string(class), Device: d.Name, alone: counts[d.Name] == 1}
			for name, chip := range sensors.Chips() { // one that has a name of its own
				if chip.Kernel != nil && chip.Kernel.Class == class && chip.Kernel.Name == d.Name {
					a.Chip, a.Device = name, ""
				}
			}
			chip, _ := sensors.Lookup(a.Chip, a.Device) // it is in the table
			a.Model = chip.Model
			k.Found = append(k.Found, a)
		}
		if len(k.Found) > 0 {
			all = append(all, k)
		}
	}
	return all, nil
}

// printKernel prints what the kernel has.
func printKernel(out *printer, all []kernelScanned, asJSON bool) error {
	for _, k := range all {
		if asJSON {
			line, err := json.Marshal(k)
			if err != nil {
				return err
			}
			out.printf("%s\n", phrase.EscapeJSON(line))
			continue
		}
		out.printf("the kernel's %s\n", k.Kernel)
		for _, a := range k.Found {
			out.printf("  %s  %s, %s\n", a.ID, a.Model, a.Name)
		}
	}
	return nil
}

// yaml is what to write into the configuration for it.
func (a kernelAnswer) yaml(counts map[string]int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    chip: %s\n", numbered(chips.SensorName(cmp.Or(a.Device, a.Chip)), counts), a.Chip)
	if a.Device != "" {
		fmt.Fprintf(&b, "    device: %s\n", a.Device)
	}
	if !a.alone || a.Chip == "ds18b20" { // another one is soon added to a 1-wire bus
		fmt.Fprintf(&b, "    id: %s\n", a.ID)
	}
	b.WriteString(further(a.Chip, a.Device))
	return b.String()
}

// numbered returns a name for the next sensor of a chip.
func numbered(chip string, counts map[string]int) string {
	if counts[chip]++; counts[chip] > 1 {
		return fmt.Sprintf("%s_%d", chip, counts[chip])
	}
	return chip
}
