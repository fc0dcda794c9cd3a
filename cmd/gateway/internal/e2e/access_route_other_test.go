//go:build !linux

package e2e

import "testing"

// startForAnotherHost needs another host, which only Linux has within a machine.
func startForAnotherHost(t *testing.T, _ string) (*gatewayProcess, route) {
	t.Skip("only Linux has network namespaces")
	return nil, route{}
}
