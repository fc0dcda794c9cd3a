package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
)

// ID returns what tells this machine from others in a network, also when its name
// changes: 12 letters and digits. They are made from the machine's ID, which itself
// is not to be shown to others (machine-id(5)); where there is none, from its name.
func ID() string {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil || strings.TrimSpace(string(id)) == "" {
		id = []byte(Name())
	}
	sum := sha256.Sum256(append([]byte("sensorgateway "), id...))
	return hex.EncodeToString(sum[:6])
}
