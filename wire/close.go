package wire

import "fmt"

// Close codes that the gateway uses: RFC 6455 section 7.4.1 and the IANA
// registry of WebSocket close codes.
const (
	CloseNormal         = 1000
	CloseProtocolError  = 1002
	CloseUnsupported    = 1003 // binary from a client where none is taken
	CloseInvalidText    = 1007 // text that is not UTF-8
	ClosePolicy         = 1008 // rate, endpoint, nick, token
	CloseTooBig         = 1009
	CloseInternal       = 1011
	CloseServiceRestart = 1012 // with [CloseReasonRestart]
	CloseTooSlow        = 1013
)

// Close reasons that go with these codes.
const (
	CloseReasonEndpoint  = "Unknown endpoint"
	CloseReasonRateLimit = "Rate limit exceeded"
	CloseReasonNickTaken = "Nick taken"
	CloseReasonInternal  = "Internal error"
	CloseReasonTooSlow   = "Too slow to follow"
	CloseReasonNoPong    = "Too slow to follow: no pong in time"
	CloseReasonRevoked   = "Token revoked" // or changed
	CloseReasonExpired   = "Token expired"
	CloseReasonNeeded    = "Token needed"  // from now on, because the first token was made
	CloseReasonDismissed = "Session ended" // by an administrator
)

// CloseReasonRestart is the reason of a [CloseServiceRestart]: the client is to
// connect again after so many milliseconds.
func CloseReasonRestart(retryMS int) string {
	return fmt.Sprintf("Service restart; retry_ms=%d", retryMS)
}
