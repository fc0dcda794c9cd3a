package machine

import (
	"testing"

	"sensorgateway/gateway/host"
)

// The kernel's sensors are read through a tree that returns a driver's EAGAIN.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	if tree, err := Tree(nil, nil, dir); tree != host.Root(dir) {
		t.Errorf("%#v, %v", tree, err)
	}
}
