//go:build unix

package tokens

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOwner holds that a file which root writes belongs to the owner of the
// directory, who has to read it.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 1234, 1235); err != nil {
		t.Fatal(err)
	}
	makeToken(t, dir, Token{Name: "ayşe", Role: Admin})
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 1234 || stat.Gid != 1235 || info.Mode() != 0o600 {
		t.Errorf("it belongs to %d:%d, mode %v", stat.Uid, stat.Gid, info.Mode())
	}
}
