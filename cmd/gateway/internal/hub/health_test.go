//go:build !nohub

package hub

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"sensorgateway/gateway/hub"
)

// TestReady holds that a hub is ready while what gateways send arrives.
func TestReady(t *testing.T) {
	for _, tt := range []struct {
		sites []hub.Site
		code  int
		body  string
	}{
		{nil, 200, `{"ok":true,"reason":"connected for 0 of 0 sites"}`},
		{[]hub.Site{{Name: "lab", Connected: true}}, 200, `{"ok":true,"reason":"connected for 1 of 1 sites"}`},
		{[]hub.Site{{Name: "lab", Connected: true}, {Name: "roof", Reason: "connecting"}}, 503, `{"ok":false,"reason":"connected for 1 of 2 sites (roof: connecting)"}`},
	} {
		w := httptest.NewRecorder()
		readyz(func() []hub.Site { return tt.sites }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != tt.code || w.Body.String() != tt.body+"\n" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%+v: %d %s", tt.sites, w.Code, w.Body)
		}
	}
}
