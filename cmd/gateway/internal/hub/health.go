//go:build !nohub

package hub

import (
	"fmt"
	"net/http"
	"strings"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/hub"
)

// healthz says that the hub answers, whoever asks.
func healthz(w http.ResponseWriter, _ *http.Request) {
	access.WriteJSON(w, http.StatusOK, map[string]any{"ok": true, "reason": "the hub answers"})
}

// readyz returns the handler that says of which sites the messages of gateways arrive.
func readyz(sites func() []hub.Site) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		all, away := sites(), []string{}
		for _, s := range all {
			if !s.Connected {
				away = append(away, s.Name+": "+s.Reason)
			}
		}
		code, reason := http.StatusOK, fmt.Sprintf("connected for %d of %d sites", len(all)-len(away), len(all))
		if len(away) > 0 {
			code = http.StatusServiceUnavailable
			reason += " (" + strings.Join(away, ", ") + ")"
		}
		access.WriteJSON(w, code, map[string]any{"ok": len(away) == 0, "reason": reason})
	})
}
