package e2e

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// savedState is the content of state.json in a state directory: a line of JSON, and one
// with its CRC-32C.
type savedState struct {
	Epoch   string            `json:"epoch"`
	Next    map[string]uint32 `json:"next_seq"`
	Reached map[string]uint32 `json:"reached,omitempty"` // while a gateway runs
}

func readState(t testing.TB, dir string) (s savedState) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func writeState(t testing.TB, dir string, s savedState) {
	t.Helper()
	line, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	data := fmt.Appendf(line, "\n%08x\n", crc32.Checksum(line, crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(filepath.Join(dir, "state.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
