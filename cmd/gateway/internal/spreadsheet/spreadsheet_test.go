package spreadsheet

import (
	"testing"
	"time"
)

func TestForms(t *testing.T) {
	berlin := time.FixedZone("CEST", 2*60*60)
	const header, line = "time,unix_ms,sensor,seq,temperature,humidity,fault\n", "2024-04-05T19:34:38.901Z,1712345678901,indoor,7,-21.5,40.25,\n"
	const failed = "2024-04-05T19:34:38.901Z,1712345678901,indoor,8,,,no_ack\n"
	for _, tt := range []struct {
		form                 Form
		header, line, failed string
	}{
		{Form{}, header, line, failed},
		{Form{Comma: true}, "time;unix_ms;sensor;seq;temperature;humidity;fault\n", "2024-04-05T19:34:38,901Z;1712345678901;indoor;7;-21,5;40,25;\n", "2024-04-05T19:34:38,901Z;1712345678901;indoor;8;;;no_ack\n"},
		{Form{Zone: berlin}, header, "2024-04-05 21:34:38.901,1712345678901,indoor,7,-21.5,40.25,\n", "2024-04-05 21:34:38.901,1712345678901,indoor,8,,,no_ack\n"},
		{Form{true, berlin}, "time;unix_ms;sensor;seq;temperature;humidity;fault\n", "2024-04-05 21:34:38,901;1712345678901;indoor;7;-21,5;40,25;\n", "2024-04-05 21:34:38,901;1712345678901;indoor;8;;;no_ack\n"},
	} {
		if got := tt.form.Header(header); got != tt.header {
			t.Errorf("%+v: %s", tt.form, got)
		}
		for in, want := range map[string]string{line: tt.line, failed: tt.failed} {
			const before = "a,b.c\n"
			if got := string(tt.form.Line([]byte(before+in), len(before))); got != before+want {
				t.Errorf("%+v: %s", tt.form, got)
			}
		}
	}
}
