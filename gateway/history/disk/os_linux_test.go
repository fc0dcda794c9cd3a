package disk

import "testing"

// The space is known also before the directory is made.
func TestSpace(t *testing.T) {
	dir := t.TempDir()
	there, err := OS(dir).Space()
	if err != nil || there < 1<<20 {
		t.Fatalf("%d bytes, %v", there, err)
	}
	if space, err := OS(dir + "/not/there").Space(); err != nil || space != there {
		t.Errorf("%d bytes, %v; want %d", space, err, there)
	}
}
