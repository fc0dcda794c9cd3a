package e2e

import (
	"context"
	"net"
	"net/http"
	"testing"
)

// startForAnotherHost starts a gateway that a client on another host connects to.
func startForAnotherHost(t *testing.T, state string) (*gatewayProcess, route) {
	run, host, dial := linkedHosts(t, "1gbit")
	config := writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+"insecure: true\n")
	p := startGateway(t, append(run, buildGateway(t), "--simulate", "--config", config, "--listen", host+":0", "--state", state)...)
	l := routeTo(p)
	l.transport = &http.Transport{DialContext: func(_ context.Context, network, address string) (net.Conn, error) { return dial(network, address) }}
	t.Cleanup(l.transport.CloseIdleConnections)
	return p, l
}
