package machine

import (
	"runtime"
	"strings"

	"periph.io/x/host/v3/distro"
)

// Model returns what this runs on, such as "Raspberry Pi 4 Model B Rev 1.4".
func Model() string {
	if model := strings.TrimRight(distro.DTModel(), "\x00"); model != "" && model != "<unknown>" {
		return model
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}
