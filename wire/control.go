package wire

// Actions of a control message: who may drive a motor.
const (
	RequestControl = "request"
	GrantControl   = "grant"
	DenyControl    = "deny"
	ReleaseControl = "release"
)

// Limits of the time that a request for control waits, in milliseconds.
const (
	MinControlMS = 3 * 1000
	MaxControlMS = 60 * 1000
)

// ControlMessage is the payload of a control message, as a client sends it.
type ControlMessage struct {
	Action        string `json:"action"`
	Target        string `json:"target"`
	TimeoutMS     *int64 `json:"timeout_ms,omitempty"`     // how long a request waits for its answer
	AllowTakeover bool   `json:"allow_takeover,omitempty"` // a client that gets control by it loses it to a request that it does not answer
}

// Control says who has control of a motor: other clients can neither start nor set it.
type Control struct {
	By            string  `json:"by"`
	Since         float64 `json:"since"`                    // Unix seconds
	AllowTakeover bool    `json:"allow_takeover,omitempty"` // a request that the holder does not answer is granted
}

// ControlRequest says who waits for control of a motor.
type ControlRequest struct {
	By    string  `json:"by"`
	Until float64 `json:"until"` // Unix seconds
}

// Reasons of control being passed, denied or released, beside command, disconnect and
// revoked ([Event]).
const (
	ReasonTimeout = "timeout" // nobody answered in time
	ReasonFree    = "free"    // nobody holds the motor any more
)
