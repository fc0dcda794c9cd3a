package wire

// Kinds of events.
const (
	EventSensorLost     = "sensor_lost"     // several ticks in a row failed
	EventSensorBack     = "sensor_back"     // it measures again
	EventClockCorrected = "clock_corrected" // the system clock was set
	EventEStop          = EStop
	EventReset          = Reset
	EventControl        = TypeControl      // control of a motor was requested, passed, denied or released
	EventStorageFailed  = "storage_failed" // readings are not durable
	EventStorageBack    = "storage_back"
	EventStorageDamaged = "storage_damaged" // stored readings were found to be lost
	EventHistoryEvicted = "history_evicted" // stored readings were evicted beyond the ordinary
	EventAlarm          = "alarm"           // an alarm was raised, acknowledged or cleared
	EventUplinkLost     = "uplink_lost"     // there is no connection to the fleet's broker
	EventUplinkUnheard  = "uplink_unheard"  // no hub takes what is sent
	EventUplinkFull     = "uplink_full"     // the broker does not take readings
	EventUplinkBudget   = "uplink_budget"   // the bytes of the month are used
	EventUplinkBack     = "uplink_back"     // none of these keeps readings back any longer
	EventHubKeys        = "hub_keys"        // a hub's key was added or removed, as another hub ordered
)

// Actions of [EventHubKeys].
const (
	KeyAdded   = "added"
	KeyRemoved = "removed"
)

// Seconds returns Unix milliseconds in seconds, as JSON messages have times.
func Seconds(unixMilli int64) float64 { return float64(unixMilli) / 1000 }

// Event is the payload of an event message.
type Event struct {
	Kind     string `json:"kind"`
	Sensor   string `json:"sensor,omitempty"`
	Fault    string `json:"fault,omitempty"`
	By       string `json:"by,omitempty"`
	Reason   string `json:"reason,omitempty"`   // why storage or the uplink failed, readings were lost or evicted, or an alarm was raised
	Readings int    `json:"readings,omitempty"` // how many readings it concerns
	StepMS   int64  `json:"step_ms,omitempty"`  // by how much the clock was corrected, forward if positive

	// Of control: By acted (empty: the time was over), Holder has control now, or the motor's
	// lease, From had it, and To gets it or is denied it.
	Action    string `json:"action,omitempty"` // as in a control message
	Target    string `json:"target,omitempty"` // the motor
	Holder    string `json:"holder,omitempty"`
	From      string `json:"from,omitempty"`
	To        string `json:"to,omitempty"`
	TimeoutMS int64  `json:"timeout_ms,omitempty"` // the time left for the answer

	// Of a hub's key, with By, From (the hub that has ordered it) and Action.
	Hub string `json:"hub,omitempty"` // what it is called
	Key string `json:"key,omitempty"` // the fingerprint

	// Of an alarm, as in [Alarm].
	Alarm     string   `json:"alarm,omitempty"` // its name
	State     string   `json:"state,omitempty"`
	Severity  string   `json:"severity,omitempty"`
	Condition string   `json:"condition,omitempty"`
	Motor     string   `json:"motor,omitempty"`
	Value     *float32 `json:"value,omitempty"`
	Since     float64  `json:"since,omitempty"`

	// Clients are the IDs of the clients that it concerns: they get it without subscribing.
	Clients []string `json:"-"`

	TS float64 `json:"ts"` // Unix seconds
}
