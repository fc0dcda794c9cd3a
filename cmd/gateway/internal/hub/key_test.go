//go:build !nohub

package hub

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
)

// TestKeyCommands holds that keys are added to a list that a person has written, are listed
// and removed, and that what is no fingerprint is refused.
func TestKeyCommands(t *testing.T) {
	dir := t.TempDir()
	key := func(seed byte, name string) fleet.HubKey {
		private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
		return fleet.HubKey{Key: private.Public().(ed25519.PublicKey), Name: name}
	}
	b, c := key(2, "hub-b"), key(3, "hub-c")
	list := filepath.Join(dir, "hubs.keys")
	if err := os.WriteFile(list, []byte("# of the lab\n"+b.Entry()), 0o600); err != nil { // without a line feed at its end
		t.Fatal(err)
	}
	own, err := enroll.SigningKey(dir, func(k ed25519.PublicKey) string { return fleet.KeyLine(k, "hub-a") })
	if err != nil {
		t.Fatal(err)
	}
	a := fleet.HubKey{Key: own.Public().(ed25519.PublicKey), Name: "hub-a"}
	if text, err := os.ReadFile(list); err != nil || os.WriteFile(list, bytes.TrimSpace(text), 0o600) != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := Command(console.Env{Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}, "hub-a")
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(append(append([]string{"key"}, args...), "--state", dir))
		err := cmd.Execute()
		return out.String(), err
	}
	want := func(text string) {
		t.Helper()
		if got, err := os.ReadFile(list); err != nil || string(got) != text {
			t.Errorf("the list is %q, %v, want %q", got, err, text)
		}
	}
	if _, err := run("add", c.Entry()); err != nil {
		t.Error(err)
	}
	want("# of the lab\n" + b.Entry() + "\n" + a.Entry() + "\n" + c.Entry() + "\n")
	out, err := run("list")
	for _, k := range []fleet.HubKey{a, b, c} {
		if err != nil || !strings.Contains(out, k.Fingerprint()+"  0 of 0") || !strings.Contains(out, k.Entry()) {
			t.Errorf("%s is not among\n%s%v", k.Name, out, err)
		}
	}
	if _, err := run("remove", b.Fingerprint()); err != nil {
		t.Error(err)
	}
	want("# of the lab\n" + a.Entry() + "\n" + c.Entry() + "\n")
	if out, err := run("list"); err != nil || !strings.Contains(out, b.Fingerprint()+"  0 of 0       removed") {
		t.Errorf("%s%v", out, err)
	}
	for _, args := range [][]string{{"remove", a.Fingerprint()}, {"remove", "x"}, {"remove", strings.ToUpper(c.Fingerprint())}, {"remove"}, {"add", "x"}, {"add", c.Entry(), "and", "more"}} {
		if _, err := run(args...); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	want("# of the lab\n" + a.Entry() + "\n" + c.Entry() + "\n")
}
