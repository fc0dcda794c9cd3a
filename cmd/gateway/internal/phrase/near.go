package phrase

import "strings"

// Nearest returns the word that the mistaken one was probably meant to be: a few
// characters differ (adress), or some are left out (adr). "" is none.
func Nearest(mistaken string, words []string) string {
	mistaken = strings.ReplaceAll(strings.ToLower(mistaken), "-", "_")
	best, least := "", 0
	for _, word := range words {
		d := editDistance(mistaken, word)
		near := d <= (len(word)+2)/3 || shortens(mistaken, word)
		if near && (best == "" || d < least) {
			best, least = word, d
		}
	}
	return best
}

// editDistance counts the characters to insert, delete, replace or swap with
// their neighbour to turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	if len(a) > 2*len(b) {
		return len(a) // too far to be meant
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// shortens reports whether short is word with letters left out, but not the first.
func shortens(short, word string) bool {
	if len(short) < 2 || word == "" || short[0] != word[0] {
		return false
	}
	for i := range len(word) {
		if short != "" && word[i] == short[0] {
			short = short[1:]
		}
	}
	return short == ""
}
