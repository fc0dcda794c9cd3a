package fleet

// Probe is what a gateway publishes to find out whether a broker lets it: hubs ignore it,
// on any topic. Brokers keep it for [ProbeExpiry] seconds.
const (
	Probe       = `{"type":"probe"}`
	ProbeExpiry = 5
)

// IsProbe returns whether a payload is [Probe].
func IsProbe(payload []byte) bool { return string(payload) == Probe }
