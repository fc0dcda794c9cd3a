package limit

// Limits are what the clients of a server may take. 0 is no limit.
type Limits struct {
	Connections           int // that are no WebSocket, or none yet
	ConnectionsPerAddress int // of them; IPv6 counts by /64, here and below
	Clients               int // WebSocket
	ClientsPerAddress     int // of them, for those who may not command and have no token
	ClientsPerToken       int // of them; the package that identifies clients counts these
	Reserved              int // of Clients, for those who may command or have a token
	// Queues is how many bytes may wait in memory for all clients together.
	Queues int64
}

// Default is the limits of a machine with 512 MiB: configs/gateway.yaml has the
// reasons.
func Default() Limits {
	return Limits{
		Connections: 512, ConnectionsPerAddress: 128,
		Clients: 10_000, ClientsPerAddress: 1000, ClientsPerToken: 1000, Reserved: 100,
		Queues: 16 << 20,
	}
}
