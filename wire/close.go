package wire

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
	CloseServiceRestart = 1012 // with "Service restart; retry_ms=N"
	CloseTooSlow        = 1013
)
