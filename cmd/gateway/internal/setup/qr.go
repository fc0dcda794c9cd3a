package setup

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quiet is the light border that a reader needs, in modules (ISO/IEC 18004).
const quiet = 4

// qrText returns a QR code of text for a terminal: two modules a character, one above
// the other. The colours are set, since a reader needs dark on light whatever the
// terminal has.
func qrText(text string) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("a QR code of %d characters: %w", len(text), err)
	}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quiet; x < code.Size+quiet; x++ {
			b.WriteRune(map[[2]bool]rune{{true, true}: '█', {true, false}: '▀', {false, true}: '▄', {false, false}: ' '}[[2]bool{code.Black(x, y), code.Black(x, y+1)}])
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), nil
}
