package chat

import (
	"strings"
	"testing"
)

func TestNickTaken(t *testing.T) {
	for _, tt := range []struct{ first, second string }{
		{"ahmet", "ahmet"},
		{"Ahmet", "aHMET"},
		{"ahmet", " ahmet "},
		{"ahmet", "ah\u200bmet"},
		{"ÇIĞ", "çIğ"},
		{"σ", "ς"},
		{"someone", "server"},
		{"someone", "\u017fERVER"}, // long s
		{"", "anonim"},
		{"", ""},
		{"ahmet", "\u0430hm\u0435t"},                  // Cyrillic
		{"ahmet", "\uff41hmet"},                       // full width
		{"ahmet", "\U0001d41a\U0001d421\U0001d426et"}, // mathematical
		{"ahmet", "ahrnet"},
		{"Ali", "AIi"}, // a capital I
		{"operator1", "0perat\u043er l"},
		{"Ali Veli", "ali_veli"},
		{"someone", "\u0455erv\u0435r"},
		{"someone", "server."},
		{"Anonim", " "},
		{"ahmet", "ahmet\u0301"}, // a mark that is part of no letter
		{"ahmet", "a\u0336h\u0336met"},
		{"zeynep", "zey\u02bcnep\u02b9"},
		{"ali-veli", "ali\u2212veli"}, // minus
		{"ali veli", "ali\u02d7veli"},
		{"ahmet", "ahme\u03c4"},                // in upper case a T
		{"mehmet", "\u043c\u0435hmet"},         // likewise
		{"محمد", "محـمد"},                      // wider
		{"ahm\u00ebt", "ahm\u0451t"},           // e with two dots, Latin and Cyrillic
		{"ahmet", "\u1d00h\u1d0d\u1d07\u1d1b"}, // small capitals
		{"ahmet", "\U0001f170hmet\u20e3"},      // in a square, under a key
		{"ulli", "\u222alli"},                  // a sign of mathematics
		{"ihsan", "\u0130hsan"},
		{"", "\u0301"}, // nothing that could be seen by itself
		{strings.Repeat("x", 20), strings.Repeat("x", 20) + "y"},
	} {
		r := newRoom()
		first := enterAs(t, r, tt.first)
		second := enter(t, r)
		second.say("join", tt.second, "")
		if got := second.take(); len(got) != 1 || got[0].Type != "error" || got[0].Nick != "server" || second.closed != "1008 Nick taken" {
			t.Errorf("%q after %q: %+v, closed %q", tt.second, tt.first, got, second.closed)
		}
		second.say("join", "another", "")
		second.expect()
		second.Left()
		first.expect()
	}
}

// Nicks that differ enough are not taken for one another.
func TestNicksApart(t *testing.T) {
	r := newRoom()
	for _, nick := range []string{"ahmet", "ahmed", "Mehmet", "zeynep", "Иван", "Ива", "José", "Jose", "Ayşe", "Ayse", "कमल", "कमला", "किमल", "Ιωάννης", "李", "李雷", "operator 1", "operator 2", "0", "8", "servant", "🌡", "💧", "...", "!!!"} {
		enterAs(t, r, nick)
	}
}
