package overview

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/hub"
	"sensorgateway/wire"
)

// known is what a hub has stored of a gateway, whose indoor sensor has failed.
const known = `{"version":1,"site":"lab","received":1700000000000,"presence":{"state":"here","since":1700000000000},"connection":17,
"hello":{"server":"gateway","name":"greenhouse 3","version":"v1.2.3","epoch":"e","time":1700000000000,"clock_synced":true,"nonce":"n","connection":17,"motors":[],
"sensors":[{"id":0,"name":"indoor","interval_ms":100,"values":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}]}],
"alarms":[{"name":"hot","state":"raised","severity":"critical","since":1700000000}]},
"newest":{"indoor":{"epoch":"e","record":"RECORD","quantities":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}]}},"stored":1700000000000,"bytes":7,"month":"2006-01"}`

func newRegistry(t *testing.T, members ...fleet.Gateway) *hub.Registry {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "pi-7"), 0o700); err != nil {
		t.Fatal(err)
	}
	record := wire.JSON((wire.Record{Seq: 5, Fault: wire.NoAck, Reading: wire.Failed(wire.NoAck, 1_700_000_000_000)}).Append(nil))
	if err := os.WriteFile(filepath.Join(dir, "pi-7", "gateway.json"), []byte(strings.Replace(known, `"RECORD"`, string(record), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := hub.NewRegistry(hub.RegistryOptions{
		Hub: "hub-a", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Check: func(fleet.Gateway) error { return nil }, Members: func() []fleet.Gateway { return members },
		Store:   func(context.Context, string, fleet.Blocks) error { return nil },
		Missing: func(string) ([]hub.Gap, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestNoSites holds that a hub which stores no site says so as a list: the page takes it for one.
func TestNoSites(t *testing.T) {
	w := httptest.NewRecorder()
	API(Options{Registry: newRegistry(t), Visible: everyone}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/gateways", nil))
	if body := w.Body.String(); !strings.Contains(body, `"sites":[],"gateways":[]`) {
		t.Error(body)
	}
}

// Times of readings are by the gateway's clock: by how much that is behind goes with them.
func TestBehind(t *testing.T) {
	if row := rowOf(hub.Overview{Stored: 1_700_000_000_000, Behind: -2 * time.Hour}); row.Stored != 1_700_000_000_000 || row.BehindMS != -7_200_000 {
		t.Errorf("%+v", row)
	}
}

func everyone(*http.Request) func(fleet.Gateway) bool {
	return func(fleet.Gateway) bool { return true }
}

func TestAPI(t *testing.T) {
	g := newRegistry(t, fleet.Gateway{Site: "lab", Name: "pi-7"}, fleet.Gateway{Site: "roof", Name: "pi-8"}, fleet.Gateway{Site: "roof", Name: "secret"}, fleet.Gateway{Site: "elsewhere", Name: "pi-9"})
	hub.New(hub.Options{Registry: g, Site: "lab"})
	hub.New(hub.Options{Registry: g, Site: "roof"})
	api := API(Options{Registry: g, Visible: func(*http.Request) func(fleet.Gateway) bool {
		return func(g fleet.Gateway) bool { return g.Name != "secret" }
	}})
	get := func(query, etag string) (a answer, w *httptest.ResponseRecorder) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "/api/v1/gateways"+query, nil)
		r.Header.Set("If-None-Match", etag)
		w = httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
		}
		return a, w
	}
	all, w := get("", "")
	if len(all.Gateways) != 2 || all.Total != 2 || len(all.Sites) != 2 || all.Gateways[1].Presence.State != hub.Never {
		t.Fatalf("%s", w.Body)
	}
	if pi := all.Gateways[0]; pi.Title != "greenhouse 3" || pi.Readings[0].Fault != "no_ack" || pi.Readings[0].Values[0].Value != nil || pi.Alarms[0].Name != "hot" || pi.Stored != 1_700_000_000_000 || pi.Bytes != 0 {
		t.Errorf("%s", w.Body)
	}
	if _, again := get("", w.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Errorf("again: %d", again.Code)
	}
	for query, want := range map[string]int{
		"?site=lab": 1, "?site=roof": 1, "?site=none": 0, "?q=GREEN+v1.2": 1, "?q=green+v2": 0, "?q=roof": 1,
		"?since=0": 2, "?since=18446744073709551615": 2,
	} {
		if a, w := get(query, ""); w.Code != http.StatusOK || len(a.Gateways) != want {
			t.Errorf("%s: %d, %s", query, w.Code, w.Body)
		}
	}
	if a, _ := get("?since="+string(wire.JSON(all.Version)), ""); len(a.Gateways) != 0 || a.Total != 2 {
		t.Errorf("since then: %+v", a)
	}
	for _, query := range []string{"?since=", "?since=-1", "?since=x"} {
		if _, w := get(query, ""); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
	post := httptest.NewRecorder()
	api.ServeHTTP(post, httptest.NewRequest(http.MethodPost, "/api/v1/gateways", nil))
	if post.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", post.Code)
	}
}
