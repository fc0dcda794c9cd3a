package chat

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// The room speaks the client's language, where it can.
func TestLanguage(t *testing.T) {
	english, turkish := "You are zeynep; here are ahmet", "Adınız zeynep; burada olanlar: ahmet"
	for accept, want := range map[string]string{
		"": english, "tr": turkish, "tr-TR,tr;q=0.9,en;q=0.8": turkish, "TR-tr": turkish, "de, fr;q=0.9": english,
		"en-GB,en;q=0.9,tr;q=0.8": english, "en;q=0.5, tr;q=0.6": turkish, "en ; q=0.5 , tr ; q=0.6": turkish, "de,tr;q=0.1": turkish,
		"en,tr": english, "tr,en": turkish, "tr;q=0": english, "tr;q=0,en;q=0": english, "*": english, "*,tr;q=0.5": english, "tr,*;q=0.5": turkish,
		"en;q=0,tr;q=0.001": turkish, "tr;q=nan": english, "tr;q=2": english, "tr;q=-1": english, "tr;level=1": english, "tr_TR": english, "trx": english, ",;,q=1": english,
	} {
		r := newRoom()
		enterAs(t, r, "ahmet")
		c := &client{t: t}
		c.Member = r.Enter(c, Options{Language: accept})
		c.say("join", "zeynep", "")
		if got := c.take(); len(got) != 1 || got[0] != (message{"info", "server", want}) {
			t.Errorf("Accept-Language %q: %+v, want %q", accept, got, want)
		}
	}
}

// Every language has all texts, of which the longest fit.
func TestTexts(t *testing.T) {
	others := make([]*Member, maxMembers-1)
	for i := range others {
		others[i] = &Member{nick: strings.Repeat("ç", maxNick)}
	}
	for name, texts := range languages {
		if alone := texts.welcome("ayşe", nil); !strings.Contains(alone, "ayşe") || strings.ContainsAny(alone, "%!") {
			t.Errorf("%s: %q", name, alone)
		}
		if full := texts.welcome(strings.Repeat("ş", maxNick), others); utf8.RuneCountInString(full) > maxText || strings.HasSuffix(full, "ç") || strings.Contains(full, "%!") {
			t.Errorf("%s: %d characters: %q", name, utf8.RuneCountInString(full), full)
		}
	}
}

func FuzzLanguage(f *testing.F) {
	for _, seed := range []string{"", "tr", "tr-TR,tr;q=0.9,en;q=0.8", "*;q=0.5", ";q=", "tr;q=0x1p-2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		got := textsFor(accept)
		if got != languages["en"] && got != languages["tr"] {
			t.Errorf("%q: %+v", accept, got)
		}
		if !strings.Contains(strings.ToLower(accept), "tr") && got != languages["en"] {
			t.Errorf("%q is Turkish", accept)
		}
	})
}
