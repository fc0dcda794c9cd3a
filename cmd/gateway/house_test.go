package main

import (
	"os/exec"
	"strings"
	"testing"
)

// An arrow is an import of one package of this module by another, and why it
// exists. Both are paths below the module; dir/... is every package below dir, and
// ... alone every package.
type arrow struct{ from, to, why string }

// arrows is all imports inside the module. A new one needs a reason that says what
// the package cannot do without the other; whatever only has to reach another
// package is given a function or a small interface by cmd/gateway instead.
var arrows = []arrow{
	{"sensors", "sensors/...", "the table of chips names every driver"},
	{"sensors/...", "wire", "what a measurement gives is a record, or a fault"},
	{"sensors/...", "sensors/internal/...", "drivers of the same kind of chip share it"},
	{"sensors", "sensors/timer", "the sampler waits for deadlines"},
	{"sensors/bus", "sensors/timer", "it waits for chips"},

	{"sensors/sim/tree", "sensors/sim", "the kernel's sensors feel the same environment"},
	{"sensors/trace", "sensors", "what it records and replays are the chips of its table"},
	{"sensors/trace", "sensors/bus", "a transfer and its failure are the bus's"},

	{"gateway", "wire", "it sends and receives what wire defines"},
	{"gateway", "gateway/conn", "a session has a transport below it"},
	{"gateway", "gateway/frames", "a tick is encoded once for each kind of subscription"},
	{"gateway/frames", "gateway/conn", "it frames as WebSocket has it"},
	{"gateway/frames", "wire", "what is framed are records"},
	{"gateway", "gateway/inbox", "a session takes what its client sends out of it"},
	{"gateway/inbox", "gateway/conn", "it reads from a connection, and closes it in order"},
	{"gateway/inbox", "gateway/limit", "a client may send so many messages a second"},
	{"gateway/inbox", "wire", "it closes with the protocol's codes and reasons"},
	{"gateway", "gateway/limit", "clients have places"},
	{"gateway/api", "gateway/limit", "queries have a share of the processor"},
	{"gateway/conn", "gateway/limit", "so have connections, by the same rule for what one host is"},
	{"gateway", "gateway/api", "a server answers plain HTTP too"},
	{"gateway", "gateway/window", "what slow clients have not taken is theirs to send"},
	{"gateway/window", "wire", "it has records in it"},
	{"gateway/api", "wire", "its answers are records and messages"},
	{"gateway", "gateway/access", "who a client is, and what it may see and do, is settled with its request"},
	{"gateway/api", "gateway/access", "an answer has what its client may see"},
	{"gateway/access", "gateway/access/tokens", "who presents a token is its holder"},
	{"gateway/access", "wire", "it says who a client is, and why its identity ended, in the protocol's words"},
	{"gateway/access/tokens", "gateway/statefile", "the file of tokens is changed by commands too"},
	{"gateway/enroll", "gateway/statefile", "members, certificates and keys are changed by commands too"},
	{"gateway/enroll", "gateway/atomicfile", "a new key takes the place of the old one for good"},
	{"gateway/statefile", "gateway/atomicfile", "the files are replaced as a whole"},
	{"gateway/audit", "wire", "a record has the interlocks of that moment"},
	{"gateway/audit", "gateway/atomicfile", "the key and the anchor are replaced as a whole"},
	{"cmd/gateway/internal/auditor", "wire", "commands, events and motors' states become records"},
	{"cmd/gateway/internal/auditor", "gateway", "it carries commands out as the server does"},
	{"cmd/gateway/internal/auditor", "gateway/access", "it answers as the API does"},
	{"cmd/gateway/internal/auditor", "gateway/access/tokens", "a token that changes is recorded"},
	{"cmd/gateway/internal/auditor", "gateway/audit", "it makes its records"},
	{"cmd/gateway/internal/auditor", "cmd/gateway/internal/notify", "it is a listener"},
	{"gateway/chat", "wire", "its messages are part of the protocol"},
	{"gateway/client", "wire", "it is the other side of the protocol"},
	{"gateway/fleet", "wire", "its news are the protocol's messages"},
	{"gateway/fleet", "gateway/history/codec", "what goes up are blocks of the log"},
	{"gateway/homeassistant", "wire", "it shows readings and motors, and commands these"},
	{"gateway/motor", "wire", "it carries out commands and returns states"},
	{"gateway/motor", "gateway/condition", "an interlock is a condition"},
	{"gateway/condition", "wire", "a condition is on a sensor's quantity"},
	{"gateway/alarm", "wire", "it evaluates records, and makes events"},
	{"gateway/alarm", "gateway/condition", "an alarm has a condition"},
	{"gateway/alarm", "gateway/atomicfile", "what is raised is replaced as a whole"},
	{"gateway/alarm", "gateway/checksum", "its file is a line and its checksum"},
	{"gateway/motor", "gateway/pins", "an output is made of lines and PWM"},
	{"gateway/motor", "gateway/control", "who has control of a motor is part of its state, and another's start is refused"},
	{"gateway/control", "wire", "it carries out control messages and returns events"},
	{"gateway/history", "wire", "it stores records"},
	{"gateway/history", "gateway/history/...", "a log is made of files, these of blocks, found by an index"},
	{"gateway/history/...", "wire", "they code, lay out and find records"},
	{"gateway/history/values", "gateway/checksum", "its file is a line and its checksum"},
	{"gateway/history/values", "gateway/history/codec", "it makes the summary of values of that of what was measured"},
	{"gateway/history/format", "gateway/history/codec", "a page and a segment have coded records in them"},
	{"gateway/history/index", "gateway/history/codec", "it has blocks of coded records in memory"},
	{"gateway/history/index", "gateway/history/format", "it is made of what the files say of their blocks"},
	{"gateway/history/query", "gateway/history/...", "it reads the blocks that the index finds"},
	{"gateway/history/recovery", "gateway/history/...", "it makes an index of what the files hold"},
	{"gateway/history/recovery", "gateway/atomicfile", "it removes files that were not created as a whole"},
	{"gateway/history", "gateway/atomicfile", "a segment exists as a whole or not at all"},
	{"gateway/history/journal", "gateway/history/...", "it is a file of pages"},
	{"gateway/history/journal", "gateway/memoryfile", "the page that is being filled is in memory"},
	{"gateway/memoryfile", "gateway/atomicfile", "what is not complete has a name that ends alike"},
	{"gateway/history/disk/disktest", "gateway/history/disk", "it is such a directory"},
	{"gateway/history/disk", "gateway/atomicfile", "it is the directory in which files are replaced"},

	{"cmd/gateway", "...", "it alone has met everyone"},
	{"cmd/gateway/internal/admin", "cmd/gateway/internal/phrase", "the expiry of a token is written as for the command"},
	{"cmd/gateway/internal/admin", "gateway/access", "who is connected, and who administers, is access's to know"},
	{"cmd/gateway/internal/admin", "gateway/access/tokens", "it lists and changes the tokens"},
	{"cmd/gateway/internal/admin", "wire", "its errors are those of the API"},
	{"cmd/gateway/internal/announce", "cmd/gateway/internal/config", "it says what is configured"},
	{"cmd/gateway/internal/announce", "cmd/gateway/internal/machine", "it says what this runs on"},
	{"cmd/gateway/internal/announce", "cmd/gateway/internal/notify", "it listens for the first readings"},
	{"cmd/gateway/internal/announce", "gateway/access", "it says who may command, and the machine's names"},
	{"cmd/gateway/internal/announce", "sensors", "what a slow sensor is"},
	{"cmd/gateway/internal/announce", "wire", "it shows readings and motors' states"},
	{"cmd/gateway/internal/address", "cmd/gateway/internal/phrase", "its errors are for people"},
	{"cmd/gateway/internal/address", "gateway/access", "what a host is called is access's to say"},
	{"cmd/gateway/internal/announce", "cmd/gateway/internal/address", "whether other machines reach it"},
	{"cmd/gateway/internal/config", "cmd/gateway/internal/address", "what an address can be"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/chips", "what it proposes is named as in a configuration"},
	{"cmd/gateway/internal/chips", "cmd/gateway/internal/config", "what it must know of a chip is the configuration's to say"},
	{"cmd/gateway/internal/chips", "sensors", "the table of chips is theirs"},
	{"cmd/gateway/internal/config", "cmd/gateway/internal/config/syntax", "the file is YAML"},
	{"cmd/gateway/internal/config/syntax", "cmd/gateway/internal/phrase", "its errors are for people"},
	{"cmd/gateway/internal/config", "cmd/gateway/internal/calibration", "what corrects values has limits"},
	{"cmd/gateway/internal/calibration", "cmd/gateway/internal/phrase", "its errors are for people"},
	{"cmd/gateway/internal/calibration", "wire", "it makes calibrations"},
	{"cmd/gateway/internal/config", "cmd/gateway/internal/logging", "log_format is one of its formats"},
	{"cmd/gateway/internal/config", "cmd/gateway/internal/phrase", "its errors are for people"},
	{"cmd/gateway/internal/config", "gateway/limit", "what clients may take has names and defaults"},
	{"cmd/gateway/internal/config", "gateway", "how many sensors a server can carry is the server's to say"},
	{"cmd/gateway/internal/config", "gateway/access", "what an origin, a host and a proxy's header can be is access's to say"},
	{"cmd/gateway/internal/config", "gateway/condition", "an interlock is a condition"},
	{"cmd/gateway/internal/config", "gateway/alarm", "what an alarm's condition and severity can be is the alarms' to say"},
	{"cmd/gateway/internal/config", "gateway/motor", "only the motors know what an output and an interlock can be"},
	{"cmd/gateway/internal/config", "gateway/history", "how much is retained by default is the log's to say"},
	{"cmd/gateway/internal/config", "wire", "a condition names a quantity"},
	{"cmd/gateway/internal/config", "sensors/bus", "a bus has one name, in the file and in errors"},
	{"cmd/gateway/internal/chips", "wire", "what clients are told of a sensor is the protocol's"},
	{"cmd/gateway/internal/credential", "gateway/access/tokens", "a typo is found before the token is sent"},
	{"cmd/gateway/internal/console", "cmd/gateway/internal/credential", "watch, chat and motor show a token"},
	{"cmd/gateway/internal/console", "cmd/gateway/internal/phrase", "its errors are for people"},
	{"cmd/gateway/internal/console", "gateway/client", "watch, chat and motor are clients"},
	{"cmd/gateway/internal/console", "wire", "it prints records and messages"},
	{"cmd/gateway/internal/export", "cmd/gateway/internal/console", "its command has the same surroundings"},
	{"cmd/gateway/internal/export", "cmd/gateway/internal/phrase", "its errors are for people"},
	{"cmd/gateway/internal/export", "cmd/gateway/internal/spreadsheet", "it writes for spreadsheets too"},
	{"cmd/gateway/internal/export", "gateway/atomicfile", "an exported file is replaced as a whole"},
	{"cmd/gateway/internal/export", "gateway/history/values", "it tells what corrected the values"},
	{"cmd/gateway/internal/export", "wire", "it writes records as the API does"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/calibration", "it shows values, and what was measured"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/address", "where a gateway listens whose configuration is not valid"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/config", "what is configured is what it reads"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/console", "its commands have the same surroundings"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/credential", "a running gateway may ask for a token"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/field/doctor", "its command prints what was found"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/field/broker", "doctor tries the fleet's brokers"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/member", "as the gateway, which is who it is there"},
	{"cmd/gateway/internal/field/broker", "cmd/gateway/internal/field/doctor", "what it finds are checks"},
	{"cmd/gateway/internal/field/broker", "gateway/fleet", "it has the topics and the probe"},
	{"cmd/gateway/internal/field/broker", "gateway/mqtt", "it speaks to brokers"},
	{"cmd/gateway/internal/field/broker", "gateway/uplink", "it connects with the uplink's identity"},
	{"cmd/gateway/internal/field/doctor", "cmd/gateway/internal/config", "what is configured is what it checks"},
	{"cmd/gateway/internal/field/doctor", "cmd/gateway/internal/machine/lines", "a bus's lines must be high when idle"},
	{"cmd/gateway/internal/rebind", "cmd/gateway/internal/console", "its command has the same surroundings"},
	{"cmd/gateway/internal/rebind", "sensors/bus", "it says which bus is which, and who has it open"},
	{"cmd/gateway/internal/machine", "cmd/gateway/internal/rebind", "an adapter that is stuck is started anew"},
	{"cmd/gateway/internal/machine", "cmd/gateway/internal/machine/lines", "a bus whose SDA is held is clocked free"},
	{"cmd/gateway/internal/field/doctor", "cmd/gateway/internal/machine", "it tries to listen as the gateway does"},
	{"cmd/gateway/internal/field/doctor", "gateway/host", "a weak supply spoils readings"},
	{"cmd/gateway/internal/field/doctor", "gateway/motor", "at which level of a line a motor runs"},
	{"cmd/gateway/internal/field/doctor", "gateway/pins", "it asks who holds a motor's line"},
	{"cmd/gateway/internal/field/doctor", "sensors/bus", "it says which bus is which"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/machine", "it opens the buses as the gateway does"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/meaning", "it says what a chip's answer means"},
	{"cmd/gateway/internal/meaning", "sensors/identify", "the checksum is the same"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/phrase", "its texts are for people"},
	{"cmd/gateway/internal/field", "cmd/gateway/internal/field/scan", "it shows what a scan found"},
	{"cmd/gateway/internal/field", "sensors", "it reads chips with their drivers"},
	{"cmd/gateway/internal/field", "sensors/bus", "it shows each transfer, and which buses there are"},
	{"cmd/gateway/internal/field", "sensors/identify", "it names who answers"},
	{"cmd/gateway/internal/field", "sensors/kernel", "it lists the sensors that the kernel reads"},
	{"cmd/gateway/internal/field", "sensors/trace", "it records what the chips answer"},
	{"cmd/gateway/internal/field", "wire", "a failure has a cause, a value a quantity"},
	{"cmd/gateway/internal/field/scan", "sensors", "for some chips there is a driver"},
	{"cmd/gateway/internal/field/scan", "sensors/bus", "it says why a bus cannot be used"},
	{"cmd/gateway/internal/field/scan", "sensors/identify", "it names who answers"},
	{"cmd/gateway/internal/field/scan", "wire", "a failure has a cause"},
	{"cmd/gateway/internal/logging", "cmd/gateway/internal/phrase", "its errors are for people"},
	{"cmd/gateway/internal/machine", "cmd/gateway/internal/config", "it opens and emulates what is configured"},
	{"cmd/gateway/internal/machine", "gateway/host", "the kernel's sensors are files of /sys, which it reads"},
	{"cmd/gateway/internal/machine", "gateway/pins", "it opens the real pins or emulated ones"},
	{"cmd/gateway/internal/machine", "sensors/bus", "it opens the real buses"},
	{"cmd/gateway/internal/machine", "sensors/timer", "they wait with the kernel's timers"},
	{"cmd/gateway/internal/machine", "sensors/sim/tree", "and the kernel's sensors"},
	{"cmd/gateway/internal/machine", "sensors/sim", "or emulated ones"},
	{"cmd/gateway/internal/metrics", "cmd/gateway/internal/notify", "it listens"},
	{"cmd/gateway/internal/metrics", "gateway/alarm", "it shows what became of what the webhook was sent"},
	{"cmd/gateway/internal/metrics", "gateway/limit", "it shows what is limited"},
	{"cmd/gateway/internal/metrics", "gateway/hub", "it shows what a hub knows of the fleet and of a gateway"},
	{"cmd/gateway/internal/metrics", "gateway/fleet", "what a client sees of the fleet, and kinds of messages"},
	{"cmd/gateway/internal/metrics", "gateway/host", "it shows the machine's numbers"},
	{"cmd/gateway/internal/metrics", "wire", "it counts records and faults"},
	{"cmd/gateway/internal/notify", "wire", "what is notified of are records, events and motors' states"},
	{"cmd/gateway/internal/hub", "cmd/gateway/internal/address", "what an address can be"},
	{"cmd/gateway/internal/hub", "cmd/gateway/internal/console", "its commands have the same surroundings"},
	{"cmd/gateway/internal/hub", "cmd/gateway/internal/logging", "its log lines are like the gateway's"},
	{"cmd/gateway/internal/hub", "cmd/gateway/internal/supervise", "systemd waits until it is ready"},
	{"cmd/gateway/internal/hub", "gateway/history/collect", "it stores the readings of all gateways"},
	{"cmd/gateway/internal/hub", "gateway/hub", "they come from a broker"},
	{"cmd/gateway/internal/hub", "wire", "it writes JSON as the protocol does"},
	{"cmd/gateway/internal/hub", "cmd/gateway/internal/hub/serving", "it serves each gateway"},
	{"cmd/gateway/internal/hub", "cmd/gateway/internal/admin", "administrators change tokens there"},
	{"cmd/gateway/internal/hub", "cmd/gateway/internal/auditor", "it records who did what"},
	{"cmd/gateway/internal/hub", "cmd/gateway/internal/metrics", "it has /metrics"},
	{"cmd/gateway/internal/hub", "gateway/host", "the machine's numbers are among them"},
	{"cmd/gateway/internal/hub", "gateway", "it counts what is refused by the server's reasons"},
	{"cmd/gateway/internal/hub", "gateway/access", "it says who may connect"},
	{"cmd/gateway/internal/hub", "gateway/access/tokens", "tokens are its own"},
	{"cmd/gateway/internal/hub", "gateway/api", "pages of other origins read its answers as a gateway's"},
	{"cmd/gateway/internal/hub", "gateway/audit", "it has an audit log"},
	{"cmd/gateway/internal/hub", "gateway/statefile", "it is notified when commands change the tokens"},
	{"cmd/gateway/internal/hub", "gateway/certificates", "it may have a certificate that browsers trust"},
	{"cmd/gateway/internal/hub", "gateway/conn", "the clients of all gateways come to one listener"},
	{"cmd/gateway/internal/hub", "gateway/dashboard", "it has the page of each gateway"},
	{"cmd/gateway/internal/hub", "gateway/limit", "connections have limits"},
	{"cmd/gateway/internal/hub", "gateway/hub/overview", "it shows all gateways at once"},
	{"cmd/gateway/internal/hub", "wire", "a scope limits alarms too"},
	{"cmd/gateway/internal/hub/serving", "gateway", "a gateway that is looked at has a server"},
	{"cmd/gateway/internal/hub/serving", "gateway/access", "a scope has gateways"},
	{"cmd/gateway/internal/hub/serving", "cmd/gateway/internal/admin", "administrators change tokens on each page"},
	{"cmd/gateway/internal/hub/serving", "gateway/access/tokens", "who has changed them is recorded"},
	{"cmd/gateway/internal/hub/serving", "gateway/alarm", "it lists the alarms as the gateway does"},
	{"cmd/gateway/internal/hub/serving", "gateway/api", "it answers which alarms there are"},
	{"cmd/gateway/internal/hub/serving", "gateway/chat", "each gateway has a room"},
	{"cmd/gateway/internal/hub/serving", "gateway/conn", "a WebSocket is refused otherwise than a page"},
	{"cmd/gateway/internal/hub/serving", "gateway/fleet", "the server is made of the gateway's hello"},
	{"cmd/gateway/internal/hub/serving", "gateway/history/collect", "its history is the log here"},
	{"cmd/gateway/internal/hub/serving", "gateway/hub", "what is live comes from there, and commands go there"},
	{"cmd/gateway/internal/hub/serving", "gateway/limit", "clients have limits"},
	{"cmd/gateway/internal/hub/serving", "wire", "commands and answers are the protocol's"},
	{"gateway/hub", "gateway/fleet", "topics and payloads are the fleet's"},
	{"gateway/hub", "gateway/hub/count", "it counts what comes and goes"},
	{"gateway/hub", "gateway/hub/number", "orders have numbers that grow over restarts"},
	{"gateway/hub/number", "gateway/atomicfile", "how far it has counted is replaced as a whole"},
	{"gateway/hub/number", "gateway/checksum", "its file is a line and its checksum"},
	{"gateway/hub", "gateway/hub/twin", "a copied card is told from a restart"},
	{"cmd/gateway/internal/hub", "gateway/hub/aside", "one gateway's log must not hold up the others"},
	{"gateway/hub/aside", "gateway/fleet", "what it keeps is payloads of the fleet"},
	{"gateway/hub/aside", "gateway/atomicfile", "a payload is durable as a whole"},
	{"gateway/hub/aside", "gateway/history/codec", "blocks that cannot be read are not kept"},
	{"gateway/hub/aside", "gateway/history/collect", "nothing is kept when nothing of any gateway can be stored"},
	{"gateway/hub/count", "gateway/fleet", "it counts by kind of message"},
	{"gateway/hub/count", "wire", "an answer says whether a command was carried out"},
	{"cmd/gateway/internal/metrics", "gateway/hub/count", "it shows what was counted"},
	{"gateway/hub/demand", "gateway/hub", "what it asks for is a gap, as the hub's others"},
	{"gateway/hub/demand", "wire", "a gateway that does not answer has not refused"},
	{"cmd/gateway/internal/hub", "gateway/hub/demand", "clients want what is only summarised"},
	{"cmd/gateway/internal/hub/serving", "gateway/hub/demand", "it tells clients what becomes of that"},
	{"cmd/gateway/internal/metrics", "gateway/hub/demand", "it shows how much of that was asked for"},
	{"gateway/hub/overview", "gateway/hub", "it shows what is known of the gateways"},
	{"gateway/hub/overview", "gateway/fleet", "who may see which gateways"},
	{"gateway/hub/overview", "gateway/dashboard", "its page is served by the same rules, and shares files"},
	{"gateway/hub/overview", "wire", "it answers with alarms and quantities"},
	{"gateway/hub", "gateway/atomicfile", "what is known of a gateway is replaced as a whole"},
	{"gateway/hub", "gateway/history/codec", "the newest reading is in the last block"},
	{"gateway/hub", "wire", "it shows readings, motors and alarms, and forwards commands"},
	{"gateway/hub", "gateway/mqtt", "it speaks to a broker"},
	{"gateway/uplink", "gateway/fleet", "topics, payloads and orders are the fleet's"},
	{"gateway/uplink", "gateway/mqtt", "it speaks to a broker"},
	{"gateway/uplink", "gateway/uplink/ship", "what goes up next is the shipper's to say"},
	{"gateway/uplink", "gateway/history/query", "hubs ask for blocks of the log"},
	{"gateway/uplink", "gateway/history/codec", "of a block, a hub may want a part"},
	{"gateway/uplink", "wire", "news are the protocol's messages, and orders its commands"},
	{"cmd/gateway/internal/member", "cmd/gateway/internal/address", "what a broker's address can be"},
	{"cmd/gateway/internal/member", "cmd/gateway/internal/config", "what is configured comes first"},
	{"cmd/gateway/internal/member", "gateway/enroll", "what is not is in the membership"},
	{"cmd/gateway/internal/member", "gateway/fleet", "hubs' keys have a form"},
	{"cmd/gateway/internal/member", "gateway/atomicfile", "it waits for no pipe in the place of a file"},
	{"cmd/gateway/internal/member", "gateway/statefile", "hubs change the list of their keys, and so does gateway enroll"},
	{"cmd/gateway/internal/member", "gateway/uplink", "it says who the uplink is"},
	{"cmd/gateway/internal/config", "gateway/fleet", "what a name in a fleet can be"},
	{"cmd/gateway/internal/metrics", "gateway/uplink", "it shows the uplink's numbers"},
	{"cmd/gateway/internal/metrics", "gateway/uplink/ship", "and why nothing goes up"},
	{"cmd/gateway/internal/setup", "gateway/motor", "outputs-off drives all outputs off"},
	{"cmd/gateway/internal/setup", "gateway/pins", "which are the system's"},
	{"gateway/uplink/ship", "wire", "numbers and records are the protocol's"},
	{"gateway/uplink/ship", "gateway/fleet", "what it makes are payloads of the fleet"},
	{"gateway/uplink/ship", "gateway/history/query", "what it sends are the log's blocks"},
	{"gateway/uplink/ship", "gateway/history/codec", "blocks are cut for slow lines"},
	{"gateway/uplink/ship", "gateway/history/values", "a block comes with what its values are"},
	{"gateway/uplink/ship", "gateway/checksum", "its file is a line and its checksum"},
	{"gateway/uplink/ship", "gateway/statefile", "what was sent is remembered"},
	{"gateway/homeassistant", "gateway/mqtt", "it speaks to a broker"},
	{"gateway/homeassistant", "gateway/atomicfile", "it waits for no pipe in the place of its password"},
	{"gateway/history/collect", "gateway/history/...", "it makes segments of blocks, as the log of readings has them"},
	{"gateway/history/collect", "gateway/atomicfile", "a segment exists as a whole or not at all"},
	{"gateway/history/collect/spans", "gateway/history/codec", "it cuts blocks"},
	{"gateway/history/collect/buckets", "gateway/history/codec", "it makes buckets of blocks' summaries"},
	{"gateway/history/collect/frame", "gateway/history/codec", "its frames are of blocks"},
	{"cmd/gateway/internal/hub", "gateway/enroll", "it lets gateways in, lists and revokes them"},
	{"cmd/gateway/internal/hub", "gateway/fleet", "what a name in a fleet can be, and how a hub's key is written"},
	{"cmd/gateway/internal/setup", "cmd/gateway/internal/chips", "the schema has the names of the chips"},
	{"cmd/gateway/internal/setup", "configs", "the example is printed"},
	{"cmd/gateway/internal/setup", "gateway/enroll", "enroll makes the gateway a member of a fleet"},
	{"cmd/gateway/internal/setup", "gateway/fleet", "what a gateway's name in a fleet can be"},
	{"cmd/gateway/internal/setup", "cmd/gateway/internal/announce", "a link begins with the address of the page"},
	{"cmd/gateway/internal/setup", "cmd/gateway/internal/config", "it reads which sensors and motors there are"},
	{"cmd/gateway/internal/setup", "cmd/gateway/internal/console", "its commands have the same surroundings"},
	{"cmd/gateway/internal/setup", "gateway/access", "a certificate is for the machine's names"},
	{"cmd/gateway/internal/backup", "gateway/atomicfile", "a backup is a whole file or none"},
	{"cmd/gateway/internal/backup", "gateway/history", "only the log of readings knows which of its files belong together"},
	{"cmd/gateway/internal/backup", "gateway/history/format", "of a directory on another disk, it replaces what is named as files of the log"},
	{"cmd/gateway/internal/setup", "cmd/gateway/internal/backup", "backup and restore are its commands"},
	{"cmd/gateway/internal/setup", "cmd/gateway/internal/state", "nothing is restored into a directory that a gateway uses"},
	{"cmd/gateway/internal/setup", "gateway/atomicfile", "a certificate is replaced as a whole"},
	{"cmd/gateway/internal/setup", "gateway/access/tokens", "token changes the file of tokens"},
	{"cmd/gateway/internal/setup", "gateway/audit", "its records are shown and verified"},
	{"cmd/gateway/internal/setup", "cmd/gateway/internal/phrase", "its texts are for people"},
	{"cmd/gateway/internal/setup", "wire", "it prints JSON as the gateway does"},
	{"cmd/gateway/internal/state", "cmd/gateway/internal/notify", "it listens"},
	{"cmd/gateway/internal/state", "gateway/atomicfile", "the numbers are replaced as a whole"},
	{"cmd/gateway/internal/state", "gateway/memoryfile", "after a kill the numbers go on from those in memory"},
	{"cmd/gateway/internal/state", "gateway/checksum", "their file is a line and its checksum"},
	{"cmd/gateway/internal/state", "wire", "it follows the records' numbers"},
	{"cmd/gateway/internal/trouble", "gateway/alarm", "what is wrong is checked for alarms"},
	{"cmd/gateway/internal/trouble", "gateway/history", "stored readings that are damaged or evicted"},
	{"cmd/gateway/internal/trouble", "gateway/atomicfile", "why an update failed is a file, and no pipe is waited for"},
	{"cmd/gateway/internal/trouble", "wire", "it makes events"},

	{"cmd/gateway/internal/warnings", "cmd/gateway/internal/config", "it finds what is odd in it"},
	{"cmd/gateway/internal/warnings", "cmd/gateway/internal/address", "what listens on this machine only is no danger"},
	{"cmd/gateway/internal/warnings", "gateway/access", "who may command is access's to say"},
	{"cmd/gateway/internal/warnings", "gateway/motor", "how old an interlock's reading may be is the motors' to say"},

	{"scripts/load", "gateway/history", "a soak needs a day of readings"},
	{"scripts/load", "wire", "they are records"},
	{"scripts/load", "scripts/load/swarm", "its clients are a swarm"},
	{"scripts/load", "scripts/load/process", "it measures a program from outside"},
	{"scripts/load/fleet", "scripts/load/process", "so does this, hubs"},
	{"scripts/load/fleet", "scripts/load/swarm", "its percentiles are those of the other figures"},
	{"scripts/load/fleet", "gateway/access/tokens", "its dashboards need a token"},
	{"scripts/load/fleet", "gateway/enroll", "its gateways and hubs have the identities of a fleet"},
	{"scripts/load/fleet", "gateway/fleet", "the keys of hubs are read as the fleet writes them"},
	{"scripts/load/fleet", "gateway/history", "its gateways have logs"},
	{"scripts/load/fleet", "gateway/uplink", "it is what is measured"},
	{"scripts/load/fleet", "gateway/uplink/ship", "and so is how logs go up"},
	{"scripts/load/fleet", "sensors/sim", "its chips feel an emulated environment"},
	{"scripts/load/fleet", "wire", "they make records, and dashboards get them"},
}

// below reports whether path is what pattern stands for.
func below(path, pattern string) bool {
	dir, tree := strings.CutSuffix(pattern, "...")
	if !tree {
		return path == pattern
	}
	return strings.HasPrefix(path+"/", dir)
}

func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "sensorgateway/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	used := map[arrow]bool{}
	allowed := func(table []arrow, from, to string) (ok bool) {
		for _, a := range table {
			if below(from, a.from) && below(to, a.to) {
				used[a] = true
				ok = true
			}
		}
		return ok
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := strings.TrimPrefix(words[0], "sensorgateway/")
		for _, path := range words[1:] {
			to, ours := strings.CutPrefix(path, "sensorgateway/")
			switch {
			case ours && !allowed(arrows, from, to):
				t.Errorf("%s imports %s: no arrow allows that (see arrows)", from, to)
			case from == "wire" && !std(path):
				t.Errorf("wire imports %s: it has the standard library only", path)
			}
			for _, a := range strangers {
				if below(from, a.from) && below(path, a.to) {
					t.Errorf("%s imports %s: %s", from, path, a.why)
				}
			}
			for _, a := range only {
				if below(path, a.to) && !allowed(only, from, path) && !strings.HasPrefix(from, "scripts/") {
					t.Errorf("%s imports %s, which only others may (see only)", from, path)
				}
			}
		}
	}
	for _, table := range [][]arrow{arrows, only} {
		for _, a := range table {
			if !used[a] {
				t.Errorf("%s imports %s no longer: remove the row", a.from, a.to)
			}
			if a.why == "" {
				t.Errorf("%s imports %s: why?", a.from, a.to)
			}
		}
	}
}
