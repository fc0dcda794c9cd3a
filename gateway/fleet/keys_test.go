package fleet

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sensorgateway/wire"
)

func hubKey(n byte, name string) HubKey { return HubKey{publicOf(n), name} }

// TestKeyChange holds how a list of keys changes: it always has the signer's key afterwards,
// and lines without a key stay as they were.
func TestKeyChange(t *testing.T) {
	a, b, c := hubKey(1, "hub-a"), hubKey(2, "hub-b"), hubKey(3, "hub-c")
	list := "# of the lab\n" + a.Entry() + "\n\n" + b.Entry() // without a line feed at its end
	full := a.Entry() + "\n"
	for n := range MaxHubKeys - 1 {
		key := slices.Clone(b.Key)
		key[0], key[1] = byte(n), 0xFF
		full += HubKey{key, "more"}.Entry() + "\n"
	}
	for name, x := range map[string]struct {
		list    string
		change  KeyChange
		signer  HubKey
		code    int
		changed bool
		want    string
	}{
		"add":                      {list, KeyChange{Add: c.Entry()}, a, 0, true, list + "\n" + c.Entry() + "\n"},
		"add what is there":        {list, KeyChange{Add: b.Entry()}, a, 0, false, list},
		"add to a full list":       {full, KeyChange{Add: c.Entry()}, a, 503, false, ""},
		"remove":                   {list, KeyChange{Remove: b.Fingerprint()}, a, 0, true, "# of the lab\n" + a.Entry() + "\n\n"},
		"remove the first":         {list, KeyChange{Remove: a.Fingerprint()}, b, 0, true, "# of the lab\n\n" + b.Entry()},
		"remove what is not there": {list, KeyChange{Remove: c.Fingerprint()}, a, 0, false, list},
		"remove its own":           {list, KeyChange{Remove: a.Fingerprint()}, a, 403, false, ""},
		"remove the last":          {a.Entry(), KeyChange{Remove: a.Fingerprint()}, a, 403, false, ""},
		"of one who was removed":   {list, KeyChange{Add: c.Entry()}, c, 403, false, ""},
		"of a list that is none":   {"nonsense", KeyChange{Add: c.Entry()}, a, 500, false, ""},
	} {
		next, _, changed, err := x.change.Apply([]byte(x.list), x.signer.Fingerprint())
		if (err == nil) != (x.code == 0) || err != nil && wire.AsError(err).Code != x.code || changed != x.changed || err == nil && string(next) != x.want {
			t.Errorf("%s: %v, %v, %q", name, err, changed, next)
		}
	}
}

// Keys are a kind of their own: a command that a hub signs for a client never counts as one,
// wherever it comes from.
func TestKeysAreNoCommand(t *testing.T) {
	body := json.RawMessage(wire.JSON(KeyChange{Add: hubKey(3, "hub-c").Entry()}))
	c := newCase(Keys, body)
	o, _, err := c.verifier().Verify(c.message(t))
	if err != nil || o.Kind != Keys || o.Signer != Fingerprint(publicOf(1)) {
		t.Fatalf("%+v, %v", o, err)
	}
	if k, err := o.KeyChange(); err != nil || k.Add == "" {
		t.Errorf("%+v, %v", k, err)
	}
	if c.topic != pi.Topic(Cmd) {
		t.Errorf("it came on %s", c.topic)
	}
	if _, err := ParseTopic("gw/v1/lab/pi-7/keys"); err == nil {
		t.Error("keys are a topic")
	}
	for name, d := range defects {
		c := newCase(Keys, body)
		d.make(c)
		if o, _, err := c.verifier().Verify(c.message(t)); wire.AsError(err).Code != d.code || err == nil {
			t.Errorf("%s: %+v, %v, want %d", name, o, err, d.code)
		}
	}
	v := c.verifier()
	m := c.message(t)
	for n := range 2 {
		if _, _, err := v.Verify(m); (err == nil) != (n == 0) {
			t.Errorf("the %d. time: %v", n+1, err)
		}
	}
}

func TestKeyChangeBodies(t *testing.T) {
	k := hubKey(1, "hub-a")
	for body, ok := range map[string]bool{
		`{"add":"` + k.Entry() + `"}`: true, `{"remove":"` + k.Fingerprint() + `"}`: true,
		`{}`: false, `{"add":"` + k.Entry() + `","remove":"` + k.Fingerprint() + `"}`: false, `{"add":"AAAA hub-a"}`: false, `{"add":"` + hubKey(1, "Hub A").Entry() + `"}`: false,
		`{"add":"` + hubKey(1, "").Entry() + `"}`: false, `{"add":"` + hubKey(1, "a\\n"+hubKey(3, "c").Entry()).Entry() + `"}`: false,
		`{"remove":"` + strings.ToUpper(k.Fingerprint()) + `x"}`: false, `{"remove":"12"}`: false, `{"remove":7}`: false, `{"add":"","more":1}`: false, `7`: false,
	} {
		if c, err := (Order{Body: json.RawMessage(body)}).KeyChange(); (err == nil) != ok || err != nil && wire.AsError(err).Code != 422 {
			t.Errorf("%s: %+v, %v", body, c, err)
		}
	}
}

// Whatever is signed, a valid list stays valid, and has the signer's key.
func FuzzKeyChange(f *testing.F) {
	a, b := hubKey(1, "hub-a"), hubKey(2, "hub-b")
	f.Add(a.Entry()+"\n"+b.Entry(), `{"remove":"`+b.Fingerprint()+`"}`)
	f.Add("# x\r\n"+a.Entry(), `{"add":"`+b.Entry()+`"}`)
	f.Add(a.Entry()+"\n"+a.Entry()+" again", `{"remove":"`+a.Fingerprint()+`"}`)
	f.Fuzz(func(t *testing.T, list, body string) {
		c, err := Order{Body: json.RawMessage(body)}.KeyChange()
		if err != nil {
			return
		}
		next, key, changed, err := c.Apply([]byte(list), a.Fingerprint())
		if err != nil {
			return
		}
		keys, err := ParseKeys(next)
		all := Fingerprints(keys)
		if err != nil || !slices.Contains(all, a.Fingerprint()) {
			t.Fatalf("%q: %v", next, err)
		}
		if changed != (string(next) != list) || changed && slices.Contains(all, key.Fingerprint()) != (c.Add != "") {
			t.Fatalf("changed %v, %q, %s", changed, next, key.Fingerprint())
		}
	})
}
