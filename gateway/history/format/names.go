package format

import "fmt"

// The ends of the files' names, after 16 hexadecimal digits.
const (
	JournalSuffix = ".journal"
	SegmentSuffix = ".segment"
)

// JournalName returns the name of the journal that was created for a page and those
// that come after it.
func JournalName(first uint64) string { return fmt.Sprintf("%016x%s", first, JournalSuffix) }

// SegmentName returns the name of the segment with a number.
func SegmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, SegmentSuffix) }
