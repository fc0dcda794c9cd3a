package enroll

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

const (
	secretSize   = 10 // bytes: 2^80 is beyond guessing within an hour
	pinSize      = 16 // bytes: another authority with the same first 128 bits cannot be made
	codeSize     = secretSize + pinSize + 4
	codeGroup    = 4 // characters
	codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// crockford has no I, L, O and U: a code is read from a screen and typed.
var crockford = base32.NewEncoding(codeAlphabet).WithPadding(base32.NoPadding)

// A Pin is the beginning of the SHA-256 of the authority's certificate: by it a device
// recognises the hub before it sends anything.
type Pin [pinSize]byte

func pinOf(der []byte) (p Pin) {
	sum := sha256.Sum256(der)
	copy(p[:], sum[:])
	return p
}

// A Code lets one gateway enroll.
type Code struct {
	Secret    [secretSize]byte
	Authority Pin
}

func newCode(authority Pin) (c Code) {
	_, _ = rand.Read(c.Secret[:]) // it never fails (crypto/rand)
	c.Authority = authority
	return c
}

// String returns the code as people type it: the secret, the pin, and a checksum of both.
func (c Code) String() string {
	b := append(append(make([]byte, 0, codeSize), c.Secret[:]...), c.Authority[:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	var groups []string
	for text := crockford.EncodeToString(b); text != ""; text = text[codeGroup:] {
		groups = append(groups, text[:codeGroup])
	}
	return strings.Join(groups, "-")
}

// ParseCode reads a code, also in lower case, without its hyphens, and with the letters
// that are taken for digits. Its errors have nothing of the code in them.
func ParseCode(text string) (c Code, err error) {
	text = strings.NewReplacer("-", "", " ", "", "I", "1", "L", "1", "O", "0").Replace(strings.ToUpper(text))
	switch want := crockford.EncodedLen(codeSize); {
	case text == "":
		return c, errors.New("the code is missing")
	case len(text) != want:
		return c, fmt.Errorf("the code has %d characters without its hyphens, and needs %d", len(text), want)
	}
	b, err := crockford.DecodeString(text)
	if err != nil || crc32.ChecksumIEEE(b[:codeSize-4]) != binary.BigEndian.Uint32(b[codeSize-4:]) {
		return c, errors.New("the code has a typo: its checksum does not match")
	}
	copy(c.Secret[:], b)
	copy(c.Authority[:], b[secretSize:])
	return c, nil
}
