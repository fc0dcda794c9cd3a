package announce

import (
	"net"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/gateway/access"
)

// permission says who may do what.
type permission struct{ what, who string }

// access says who may connect, and who may command motors if there are any.
func (s Start) access() []permission {
	host, _, _ := net.SplitHostPort(s.Config.Listen) // it is checked
	local := address.IsLoopback(host)
	open := "whoever reaches the port: no password, no encryption; readings and the operators' room are not private"
	switch {
	case s.Tokens && !s.Config.OpenAccess:
		open = "who has a token"
		if !local && s.Config.TLS == nil {
			open += ", which others on the way can read: there is no encryption"
		}
	case s.Closed != nil:
		open = "programs on this machine; other machines are refused: " + s.Closed.Error()
	case local && (s.Config.URL != nil || len(s.Config.Proxies) > 0):
		open = "programs on this machine, and whoever its proxy lets in"
	case local:
		open = "programs on this machine; no other machine reaches it"
	case s.Config.TLS != nil:
		open = "whoever reaches the port: encrypted, no password; readings and the operators' room are not private"
	}
	all := []permission{{"open to", open}}
	if len(s.Motors) == 0 {
		return all
	}
	if s.Tokens {
		return append(all, permission{"motors", "started by who has an operator's token, stopped by whoever may connect"})
	}
	if s.Open {
		return append(all, permission{"motors", "started and stopped by whoever reaches the port: they are simulated"})
	}
	starts := map[access.Commands]string{
		access.NobodyCommands:  "nobody (see commands: in the configuration)",
		access.LocalCommands:   "programs on this machine",
		access.AnybodyCommands: "whoever reaches the port",
	}[s.Config.Policy(s.Simulated).Commands]
	if h := s.Config.HomeAssistant; h != nil && h.MaxRun > 0 {
		starts += " and by home assistant through " + h.Broker.Redacted()
	}
	return append(all, permission{"motors", "started by " + starts + ", stopped by whoever may connect"})
}
