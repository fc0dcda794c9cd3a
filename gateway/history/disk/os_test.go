package disk

import (
	"cmp"
	"os"
	"path/filepath"
	"testing"
)

// A file is no longer in place when the next start would not find it by its name.
func TestInPlace(t *testing.T) {
	const name, size = "file", 8
	for _, tt := range []struct {
		what   string
		change func(dir, path string) error
		want   error
	}{
		{"nothing", func(string, string) error { return nil }, nil},
		{"it grows", func(_, path string) error { return os.Truncate(path, 2*size) }, nil},
		{"it is cut off", func(_, path string) error { return os.Truncate(path, size-1) }, errCutOff},
		{"it is removed", func(_, path string) error { return os.Remove(path) }, errRemoved},
		{"a directory has its name", func(_, path string) error {
			return cmp.Or(os.Remove(path), os.Mkdir(path, 0o700))
		}, errReplaced},
		{"another file has its name", func(_, path string) error {
			return cmp.Or(os.WriteFile(path+"2", make([]byte, size), 0o600), os.Rename(path+"2", path))
		}, errReplaced},
		{"its directory is renamed", func(dir, _ string) error { return os.Rename(dir, dir+"2") }, errRemoved},
		{"another directory has the name of its directory", func(dir, path string) error {
			return cmp.Or(os.Rename(dir, dir+"2"), os.Mkdir(dir, 0o700), os.WriteFile(path, make([]byte, size), 0o600))
		}, errReplaced},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			f, err := OS(dir).Create(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
				t.Fatal(err)
			}
			if err := tt.change(dir, filepath.Join(dir, name)); err != nil {
				t.Skip(err) // some systems let nobody change a file that is open
			}
			if err := InPlace(f, size); err != tt.want {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}
