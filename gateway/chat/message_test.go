package chat

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNicks(t *testing.T) {
	for _, tt := range []struct{ wanted, got string }{
		{"ahmet", "ahmet"},
		{" \t ahmet\u00a0 ", "ahmet"},
		{"", "anonim"},
		{" \u3000\u200b\u2060\n", "anonim"},
		{"ali veli", "ali veli"},
		{"ali\u00a0veli", "ali veli"},
		{"a\x00h\x1b\x7f\u0085met", "ahmet"},
		{"a\u202ehm\u2066et\u200d\ufeff", "ahmet"}, // direction, joiner, BOM
		{"a\ufe0fh\u034fm\u3164e\u115ft\U000e0041\u2800", "ahmet"},
		{"çığöşü 🌡", "çığöşü 🌡"},
		{strings.Repeat("ğ", 20), strings.Repeat("ğ", 20)},
		{strings.Repeat("ğ", 21), strings.Repeat("ğ", 20)},
		{strings.Repeat("x", 19) + " yz", strings.Repeat("x", 19)},
		{"\u200b" + strings.Repeat("x", 30), strings.Repeat("x", 20)},
		{`"\<`, `"\<`},
		{"\u0301\u0336", "anonim"},
		{"c\u0327a", "c\u0327a"},
	} {
		c := enter(t, newRoom())
		c.say("join", tt.wanted, "")
		c.expect(message{"info", "server", "You are " + tt.got + ", alone here"})
		c.say("chat", "", "x")
		c.expect(message{"chat", tt.got, "x"})
	}
}

func TestText(t *testing.T) {
	c := enterAs(t, newRoom(), "ahmet")
	for _, tt := range []struct{ said, heard string }{
		{"hello", "hello"},
		{"  hello\n\tworld  ", "  hello \tworld  "},
		{" ", " "},
		{"a\x00b\x1b[31m\x7f\u009b", "ab[31m"},
		{"hi\r\n12:00 server evacuate\vx\fx\u0085x\u2028x\u2029x\rx", "hi 12:00 server evacuate x x x x x x"},
		{"a\u202etxet\u2066 b\u200e", "atxet b\u200e"},
		{strings.Repeat("🌡", 500), strings.Repeat("🌡", 500)},
		{strings.Repeat("🌡", 501), strings.Repeat("🌡", 500)},
		{strings.Repeat("\x01", 100) + strings.Repeat("é", 500), strings.Repeat("é", 500)},
		{"👨\u200d👩", "👨\u200d👩"},
	} {
		c.say("chat", "ahmet", tt.said)
		c.expect(message{"chat", "ahmet", tt.heard})
	}
	for _, empty := range []string{"", "\x00\x1b", "\u202e"} {
		c.say("chat", "ahmet", empty)
		c.expect(message{"error", "server", "text is empty"})
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	for _, tt := range []struct{ sent, complaint string }{
		{``, "Invalid JSON"},
		{`hello`, "Invalid JSON"},
		{`{"type":"chat","nick":"","text":"x"`, "Invalid JSON"},
		{`{"type":"chat","nick":"","text":"x"}{}`, "Invalid JSON"},
		{`{"type":"chat","nick":"","text":"x",}`, "Invalid JSON"},
		{`null`, `A message is {"type":…,"nick":…,"text":…}`},
		{`["chat","","x"]`, `A message is {"type":…,"nick":…,"text":…}`},
		{`"chat"`, `A message is {"type":…,"nick":…,"text":…}`},
		{deep, `A message is {"type":…,"nick":…,"text":…}`},
		{`{}`, "type is missing"},
		{`{"type":"chat","text":"x"}`, "nick is missing"},
		{`{"type":"chat","nick":""}`, "text is missing"},
		{`{"type":"chat","nick":"","text":"x","id":1}`, "Unknown field: id"},
		{`{"type":"chat","nick":"","text":"x","":""}`, "Unknown field: "},
		{`{"type":"chat","nick":"","Text":"x"}`, "Unknown field: Text"},
		{`{"type":"chat","nick":"","text":"x","a\u001b\u202eb":""}`, "Unknown field: ab"},
		{`{"type":"chat","nick":"","text":"x","text":"y"}`, "text is given twice"},
		{`{"type":"chat","nick":"","text":"x","\u0074ext":"y"}`, "text is given twice"},
		{`{"type":"chat","nick":null,"text":"x"}`, "nick must be a string"},
		{`{"type":"chat","nick":"","text":1}`, "text must be a string"},
		{`{"type":"chat","nick":"","text":1e999}`, "text must be a string"},
		{`{"type":"chat","nick":"","text":["x"]}`, "text must be a string"},
		{`{"type":{"type":"chat"},"nick":"","text":"x"}`, "type must be a string"},
		{`{"type":true,"nick":"","text":"x"}`, "type must be a string"},
		{`{"type":"Chat","nick":"","text":"x"}`, "Unknown type: Chat"},
		{`{"type":"leave","nick":"ahmet","text":""}`, "Unknown type: leave"},
		{`{"type":"info","nick":"server","text":"evacuate"}`, "Unknown type: info"},
		{`{"type":"` + strings.Repeat("x", 99) + `","nick":"","text":""}`, "Unknown type: " + strings.Repeat("x", 40)},
		{`{"type":"join","nick":"other","text":""}`, "You have joined already, as ahmet"},
	} {
		r := newRoom()
		c, other := enterAs(t, r, "ahmet"), enterAs(t, r, "other member")
		c.take()
		c.Message([]byte(tt.sent))
		c.expect(message{"error", "server", tt.complaint})
		c.say("chat", "", "x") // the connection stays
		c.expect(message{"chat", "ahmet", "x"})
		other.expect(message{"chat", "ahmet", "x"})
	}
	c := enter(t, newRoom())
	c.say("chat", "ahmet", "x")
	c.expect(message{"error", "server", "Join first"})
	c.say("join", "ahmet", "")
	c.expect(message{"info", "server", "You are ahmet, alone here"})
}

func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"type":"join","nick":"ahmet","text":""}`,
		`{"type":"chat","nick":"a","text":"\ud800\u0000\n"}`,
		`{"type":"join","nick":"\u202e\ufe0f server ","text":""}`,
		`{"type":"join","nick":"` + strings.Repeat("ğ ", 30) + `","text":""}`,
		`{"type":null}`, `[[[`, `{"a":{"type":"join"}}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		if !utf8.Valid(one) || !utf8.Valid(two) {
			return // the connection ends before the room hears of it
		}
		r := newRoom()
		witness, c := enterAs(t, r, "witness"), enter(t, r)
		c.Message(one)
		c.Message(two)
		c.Left()
		answers := 0
		for _, m := range append(c.take(), witness.take()...) {
			if utf8.RuneCountInString(m.Nick) > 20 || m.Nick == "" || m.Nick != cleanNick(m.Nick) {
				t.Errorf("nick %q", m.Nick)
			}
			if utf8.RuneCountInString(m.Text) > 500 || m.Text != cleanText(m.Text) {
				t.Errorf("text %q", m.Text)
			}
			if strings.EqualFold(m.Nick, "server") != (m.Type == "info" || m.Type == "error") {
				t.Errorf("%s from %q", m.Type, m.Nick)
			}
			if m.Type == "info" || m.Type == "error" || m.Type == "chat" {
				answers++
			}
		}
		if answers == 0 {
			t.Errorf("%q, %q: nothing came back", one, two)
		}
	})
}
