package access

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/gateway/access/tokens"
)

// TestLoginNotStored holds that a login that cannot be stored is not answered as a wrong
// token: whoever sends it has tried nothing wrong, and is not told where the state is.
func TestLoginNotStored(t *testing.T) {
	dir := t.TempDir()
	text := addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Viewer})
	g := newGuard(t, dir, Options{Refused: func(reason, _, why string) { t.Errorf("refused for %s: %s", reason, why) }})
	var log bytes.Buffer
	g.Log = slog.New(slog.NewTextHandler(&log, nil))
	file := filepath.Join(dir, "tokens.json")
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
	r := requestFrom("127.0.0.1", "/login")
	r.Method, r.Body = http.MethodPost, readCloser{strings.NewReader(`{"token":"` + text + `"}`)}
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	g.Pages()["/login"].ServeHTTP(w, r)
	if body := w.Body.String(); w.Code != http.StatusInternalServerError || strings.Contains(body, "tokens.json") || !strings.Contains(body, "fix: ") {
		t.Errorf("%d %s", w.Code, body)
	}
	if w.Header().Get("WWW-Authenticate") != "" || w.Header().Get("Set-Cookie") != "" || len(g.tries.of) > 0 {
		t.Errorf("%v, tries of %d addresses", w.Header(), len(g.tries.of))
	}
	if !strings.Contains(log.String(), "tokens.json") {
		t.Errorf("logged: %s", log.String())
	}
}
