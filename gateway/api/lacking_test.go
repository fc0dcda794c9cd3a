package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// A header says what an answer lacks. If the client asks for buckets, it only says so, without
// asking the gateway; of buckets of minutes or more nothing is lacking.
func TestLacking(t *testing.T) {
	g := &gateway{}
	a := g.api()
	var asked []string
	a.opts.Lacks = func(sensor uint16, from, to int64, ask bool) string {
		asked = append(asked, fmt.Sprint(sensor, from, to, ask))
		if sensor == 1 {
			return ""
		}
		return "minutes=2, asked=2, gone=0"
	}
	s := httptest.NewServer(a)
	defer s.Close()
	for _, tt := range []struct{ method, query, lacks string }{
		{http.MethodGet, "sensor=indoor&from=1000&to=2000", "minutes=2, asked=2, gone=0"},
		{http.MethodGet, "sensor=indoor&from=1000&to=2000&format=csv", "minutes=2, asked=2, gone=0"},
		{http.MethodGet, "sensor=outdoor&from=1000&to=2000", ""},
		{http.MethodGet, "sensor=indoor&from=1000&to=2000&step=1000", "minutes=2, asked=2, gone=0"},
		{http.MethodGet, "sensor=indoor&from=1000&to=2000&step=60000", ""},
		{http.MethodHead, "sensor=indoor&from=1000&to=2000", ""},
		{http.MethodGet, "sensor=indoor&from=3000&to=2000", ""},
	} {
		r, err := http.NewRequest(tt.method, s.URL+"/api/v1/readings?"+tt.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if got := answer.Header.Get("Readings-Lacking"); got != tt.lacks {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.query, got, tt.lacks)
		}
		if got := answer.Header.Get("Access-Control-Expose-Headers"); (got != "") != (tt.lacks != "") {
			t.Errorf("%s: pages may read %q", tt.query, got)
		}
	}
	if want := []string{"0 1000 2000 true", "0 1000 2000 true", "1 1000 2000 true", "0 1000 2000 false"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}
