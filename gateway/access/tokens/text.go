package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// A token's text is the prefix, by which scanners of secrets find it, 256 random
// bits, and a checksum, so that a typo is told before any look-up.
const (
	prefix    = "gwt_"
	secretLen = 43 // 32 bytes in base64url (RFC 4648, section 5), without padding
	sumLen    = 6  // a CRC-32 (IEEE) of all before it, in base62
	textLen   = len(prefix) + secretLen + sumLen
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newText returns the text of a new token.
func newText() string {
	body := prefix + random()
	return body + checksum(body)
}

// random returns 256 random bits as text.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var text [sumLen]byte
	for i := range text {
		text[sumLen-1-i] = base62[sum%62]
		sum /= 62
	}
	return string(text[:])
}

// CheckText returns what is wrong with the form of a token, nil if nothing is. The
// error has nothing of the token in it.
func CheckText(text string) error {
	switch {
	case !strings.HasPrefix(text, prefix):
		return errors.New("that is no token of a gateway: one begins with " + prefix)
	case len(text) < textLen:
		return fmt.Errorf("the token is cut off: it has %d of %d characters", len(text), textLen)
	case len(text) > textLen:
		return fmt.Errorf("the token has something behind it: it has %d characters, not %d", textLen, len(text))
	}
	body, sum := text[:textLen-sumLen], text[textLen-sumLen:]
	_, err := base64.RawURLEncoding.Strict().DecodeString(body[len(prefix):])
	if err != nil || checksum(body) != sum {
		return errors.New("the token has a typo: its checksum does not match")
	}
	return nil
}

// hash is what is stored of a secret. There is nothing to guess in 256 random bits,
// so a slow hash would protect nothing, and would take a Pi Zero seconds.
type hash [sha256.Size]byte

func hashOf(secret string) hash { return sha256.Sum256([]byte(secret)) }
