package pins

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A channel has one owner, as a line has: the next one that claims it writes nothing.
func TestHardPWMIsClaimedOnce(t *testing.T) {
	f := newFakeTree(t)
	p, err := f.tree().open("pwmchip0/0", 1000)
	if err != nil {
		t.Fatal(err)
	}
	set(t, p, 0.5)
	before := slices.Clone(f.writes)
	const says = "claim pwmchip0/0: device or resource busy: held by another gateway, or named twice in the configuration; fix: "
	if _, err := f.tree().open("pwmchip0/0", 2000); !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), says) {
		t.Errorf("claimed twice: %v", err)
	}
	if duty, err := p.Get(); duty != 0.5 || err != nil || !slices.Equal(f.writes, before) {
		t.Errorf("its owner reads %v, %v; wrote %v, before that %v", duty, err, f.writes, before)
	}
	other, err := f.tree().open("pwmchip0/1", 1000)
	if err != nil {
		t.Fatalf("the other channel of its chip: %v", err)
	}
	if err := errors.Join(p.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	again, err := f.tree().open("pwmchip0/0", 2000)
	if err != nil {
		t.Fatalf("after its owner has closed it: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
