// Command pack compresses the files of the page for a build, so that the program contains
// them as they are sent: pack DIR FOLDER... writes them into DIR, with DIR/overlay.json, with
// which `go build -overlay` uses them instead of the folders' own. scripts/build runs it.
//
// It refuses to know what the files are.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: pack DIR FOLDER...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "pack: %v\n", err)
		os.Exit(1)
	}
}

func run(dir string, folders []string) error {
	replace := map[string]string{}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			original, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			packed := filepath.Join(dir, strconv.Itoa(len(replace)))
			replace[original] = packed
			return pack(packed, original)
		})
		if err != nil {
			return err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)
}

// pack writes a compressed copy of a file. It does not depend on time and place.
func pack(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o600)
}
