package config

// oneSensor is the shortest valid file.
const oneSensor = "sensors: [{name: indoor, chip: sht3x}]\n"

// badConfigs are files that must be refused, with all that is said of each.
var badConfigs = []struct{ name, file, want string }{
	{"empty", "",
		"gateway.yaml:1: the file is empty (it needs at least sensors, each with a name and a chip)"},
	{"only comments", "# nothing\n",
		"gateway.yaml:1: the file is empty (it needs at least sensors, each with a name and a chip)"},
	{"only a document marker", "---\n",
		"gateway.yaml:1: the file is empty (it needs at least sensors, each with a name and a chip)"},
	{"null", "~\n",
		"gateway.yaml:1: the file is empty (it needs at least sensors, each with a name and a chip)"},
	{"not UTF-8", oneSensor + "state: /\xff\n",
		"gateway.yaml:2: not UTF-8 text (save the file as UTF-8)"},
	{"UTF-16", "\xff\xfea\x00",
		"gateway.yaml:1: not UTF-8 text (save the file as UTF-8)"},
	{"history", oneSensor + "history: {size: 300, age: 30, max: 1}\n",
		`gateway.yaml:2: history.size: "300" is not a size (write 256MiB or 1GiB)
gateway.yaml:2: history.age: "30" is not a duration (write 7d or 36h)
gateway.yaml:2: unknown key "max" in history (known: size, age)`},
	{"history out of bounds", oneSensor + "history: {size: 1MiB, age: 5m}\n",
		`gateway.yaml:2: history.size: "1MiB" is not between 16MiB and 1024GiB
gateway.yaml:2: history.age: "5m" is not between 1h and 3660d`},
	{"limits", oneSensor + "limits: {connections: 0, clients: many, clients_per_address: 1000000000, reserved: 10000, queues: 12, max: 1}\n",
		`gateway.yaml:2: limits.connections: with 0 nobody gets in (write how many there may be at a time, such as 512)
gateway.yaml:2: limits.clients: "many" is not a whole number from 0 to 1048576 (how many there may be at a time)
gateway.yaml:2: limits.clients_per_address: "1000000000" is not a whole number from 0 to 1048576 (how many there may be at a time)
gateway.yaml:2: limits.reserved: 10000 of 10000 clients leave none for the others (write a tenth of clients, such as 1000)
gateway.yaml:2: limits.queues: "12" is not a size (write 256MiB or 1GiB)
gateway.yaml:2: unknown key "max" in limits (known: connections, connections_per_address, clients, clients_per_address, clients_per_token, reserved, queues)`},
	{"limits out of bounds", oneSensor + "limits: {queues: 2GiB}\n",
		`gateway.yaml:2: limits.queues: "2GiB" is not between 1MiB and 1GiB`},
	{"history alone", oneSensor + "history: 1GiB\n",
		`gateway.yaml:2: history: "1GiB" where keys with values must be (write key: value)`},
	{"home assistant", oneSensor + "home_assistant: {broker: http://ha, user: u, password_file: p, max_run: 10m, x: 1}\n",
		`gateway.yaml:2: home_assistant.broker: "http://ha" is not the address of an MQTT broker (write mqtt://host, mqtt://host:port, or mqtts:// for TLS)
gateway.yaml:2: home_assistant.password_file: "p" is not the full path of a file (begin it at the root, such as /etc/gateway/mqtt.password)
gateway.yaml:2: unknown key "x" in home_assistant (known: broker, user, password_file, max_run)`},
	{"uplink", oneSensor + "uplink: {brokers: ['mqtt://u:p@a', b], site: Lab, budget: 500MB, cert: c, x: 1}\n",
		`gateway.yaml:2: uplink: site without name (add it, or leave both out)
gateway.yaml:2: uplink: cert without key (add it, or leave both out)
gateway.yaml:2: uplink.brokers[0]: a user or password in the address is seen by whoever reads the log (write user: and password_file:)
gateway.yaml:2: uplink.brokers[1]: "b" is not the address of an MQTT broker (write mqtt://host, mqtt://host:port, or mqtts:// for TLS)
gateway.yaml:2: uplink.site: name "Lab": want a lower-case letter, then up to 31 letters, digits, - or _
gateway.yaml:2: uplink.budget: "500MB" is no budget (write 500MB/month or 2GB/month)
gateway.yaml:2: uplink.cert: "c" is not the full path of a file (begin it at the root, such as /etc/gateway/fleet.crt)
gateway.yaml:2: unknown key "x" in uplink (known: brokers, site, name, ca, cert, key, hub_keys, user, password_file, budget)`},
	{"uplink without brokers", oneSensor + "uplink: {site: lab, name: all}\n",
		`gateway.yaml:2: uplink: no brokers (add them, such as brokers: [mqtts://broker.example])
gateway.yaml:2: uplink.name: "all" is no name: it stands for all gateways of a site`},
	{"uplink with an empty list of brokers", oneSensor + "uplink:\n  brokers: []\n",
		`gateway.yaml:3: uplink.brokers: the list is empty (name a broker, such as [mqtts://broker.example], or leave brokers out: then those of the membership are tried)`},
	{"uplink of a site with an empty list of brokers", oneSensor + "uplink: {site: lab, name: pi, brokers: []}\n",
		`gateway.yaml:2: uplink.brokers: the list is empty (name a broker, such as [mqtts://broker.example], or leave brokers out: then those of the membership are tried)`},
	{"home assistant without a broker", oneSensor + "home_assistant: {password_file: /p}\n",
		`gateway.yaml:2: home_assistant: no broker (add one, such as broker: mqtt://homeassistant.local)
gateway.yaml:2: home_assistant.password_file: password_file needs a user (add user:)`},
	{"home assistant's password in the address", oneSensor + "motors: [{name: m, kind: on_off, pin: GPIO17}]\nhome_assistant: {broker: 'mqtt://u:secret@ha', max_run: 25h}\n",
		`gateway.yaml:3: home_assistant.broker: a user or password in the address is seen by whoever reads the log (write user: and password_file:)
gateway.yaml:3: home_assistant.max_run: "25h" is out of range (1s to 24h)`},
	{"home assistant's path", oneSensor + "home_assistant: {broker: 'mqtt://ha:1883/x'}\n",
		`gateway.yaml:2: home_assistant.broker: "mqtt://ha:1883/x" has more than a host and a port (write mqtt://host, mqtt://host:port, or mqtts:// for TLS)`},
	{"control character", oneSensor + "state: /a\x01\n",
		"gateway.yaml:2: a control character (remove it)"},
	{"a word", "hello\n",
		`gateway.yaml:1: the whole file: "hello" where keys with values must be (write key: value)`},
	{"a list", "- a\n",
		"gateway.yaml:1: the whole file: a list where keys with values must be (write key: value)"},
	{"second document", oneSensor + `---
listen: localhost:1
`,
		"gateway.yaml:2: a second document (a configuration is one: remove the ---)"},
	{"empty second document", oneSensor + "---\n",
		"gateway.yaml:2: a second document (a configuration is one: remove the ---)"},
	{"text after the end", oneSensor + `...
x: [
`,
		"gateway.yaml:3: more follows after the end of the document (remove it)"},
	{"tab", "sensors:\n\t- name: indoor\n",
		"gateway.yaml:2: a tab in the indentation (use spaces)"},
	{"colon missing", `listen localhost:8765
sensors: [{name: indoor, chip: sht3x}]
`,
		`gateway.yaml:2: a ":" where none can be (the line above may lack its ":", this one may be indented wrongly, or a value with ": " in it needs quotes)`},
	{"key alone", oneSensor + `primary
listen: localhost:1
`,
		`gateway.yaml:2: no ":" after the key on this line or the one above (write key: value, with a blank after the colon)`},
	{"colon in value", oneSensor + "state: a: b\n",
		`gateway.yaml:2: a ":" where none can be (the line above may lack its ":", this one may be indented wrongly, or a value with ": " in it needs quotes)`},
	{"wrong indentation in a list", `sensors:
  - name: indoor
   chip: sht3x
`,
		`gateway.yaml:3: neither a new list entry nor a key of the last one (begin an entry with "- ", and indent its keys alike)`},
	{"wrong indentation of a key", `sensors:
  - name: indoor
    chip: sht3x
   bus: 1
`,
		`gateway.yaml:4: neither a new list entry nor a key of the last one (begin an entry with "- ", and indent its keys alike)`},
	{"quote in a quote", oneSensor + "state: 'it's'\n",
		"gateway.yaml:2: no key where one must be (indent it like the keys above it; a quote in a quoted value is doubled)"},
	{"open quote", oneSensor + "state: \"/a\n",
		"gateway.yaml:2: a quote is not closed (add the missing one)"},
	{"open bracket", `sensors: [{name: indoor, chip: sht3x}
listen: localhost:1
`,
		"gateway.yaml:1: a list in [ ] or a mapping in { } that does not end (add the missing bracket or comma)"},
	{"IPv6 address without quotes", oneSensor + "listen: [::1]:8765\n",
		"gateway.yaml:2: no value where one must be (quote a value that begins with one of [ ] { } * & ! | > % @ or a backquote)"},
	{"backslash", oneSensor + `state: "C:\gateway"
`,
		`gateway.yaml:2: an unknown \ sequence in "…" (write '…' instead)`},
	{"percent", oneSensor + "state: %a\n",
		"gateway.yaml:2: a character that cannot begin a value (quote a value that begins with one of [ ] { } * & ! | > % @ or a backquote)"},
	{"directive", oneSensor + "%x\n",
		`gateway.yaml:2: not YAML: "found unknown directive name" (write key: value)`},
	{"unknown anchor", oneSensor + "state: *a\n",
		"gateway.yaml:2: anchors and aliases (&x, *x) are not supported (write the value out)"},
	{"anchor and alias", `listen: &a :8765
state: *a
sensors: [{name: indoor, chip: sht3x}]
`,
		`gateway.yaml:1: listen: anchors and aliases (&x, *x) are not supported (write the value out)
gateway.yaml:2: state: anchors and aliases (&x, *x) are not supported (write the value out)`},
	{"anchored list", "sensors: &a [{name: indoor, chip: sht3x}]\n",
		"gateway.yaml:1: sensors: anchors and aliases (&x, *x) are not supported (write the value out)"},
	{"alias in a list", "sensors: [&a {name: indoor, chip: sht3x}, *a]\n",
		`gateway.yaml:1: sensors[0]: anchors and aliases (&x, *x) are not supported (write the value out)
gateway.yaml:1: sensors[1]: anchors and aliases (&x, *x) are not supported (write the value out)`},
	{"merge key", `sensors:
  - {name: a, chip: sht3x}
  - {<<: {bus: 1}, name: b, chip: aht20}
`,
		"gateway.yaml:3: sensors[1].<<: merge keys are not supported (write the keys out)"},
	{"tag", oneSensor + "state: !!str /a\n",
		`gateway.yaml:2: state: tags such as "!!str" are not supported (write the value alone)`},
	{"tagged key", oneSensor + "!!str state: /a\n",
		"gateway.yaml:2: a key is not a plain word (write key: value)"},
	{"key that is a list", oneSensor + `? [a]
: b
`,
		"gateway.yaml:2: a key is not a plain word (write key: value)"},
	{"null key", oneSensor + "~: b\n",
		"gateway.yaml:2: a key is not a plain word (write key: value)"},
	{"duplicate key", `listen: localhost:1
sensors: [{name: indoor, chip: sht3x}]
listen: localhost:2
`,
		`gateway.yaml:3: duplicate key "listen", already on line 1 (remove one)`},
	{"duplicate key in a sensor", `sensors:
  - name: indoor
    chip: sht3x
    bus: 1
    bus: 2
`,
		`gateway.yaml:5: duplicate key "bus" in sensors[0], already on line 4 (remove one)`},
	{"unknown keys, misspelt", `lisen: :1
log-format: text
STATE: /a
sensor: []
sensors: [{name: indoor, chip: sht3x}]
`,
		`gateway.yaml:1: unknown key "lisen" (did you mean "listen"?)
gateway.yaml:2: unknown key "log-format" (did you mean "log_format"?)
gateway.yaml:3: unknown key "STATE" (did you mean "state"?)
gateway.yaml:4: unknown key "sensor" (did you mean "sensors"?)`},
	{"a name of blanks", oneSensor + "name: \"  \"\n", `gateway.yaml:2: name: "  " is not 1 to 64 printable characters`},
	{"a name that controls terminals", oneSensor + "name: \"a\\eb\"\n", `gateway.yaml:2: name: "a\x1bb" is not 1 to 64 printable characters`},
	{"unknown key, no idea", oneSensor + "colour: red\n",
		`gateway.yaml:2: unknown key "colour" (known: name, listen, tls, insecure, hosts, origins, url, proxies, commands, diagnostics, access, metrics, limits, state, history, log_format, primary, sensors, bus_recovery, estop, motors, alarms, webhook, home_assistant, uplink)`},
	{"unknown key in a sensor, shortened", `sensors:
  - name: indoor
    chip: sht3x
    adr: 0x44
`,
		`gateway.yaml:4: unknown key "adr" in sensors[0] (did you mean "address"?)`},
	{"unknown key in a sensor, no idea", `sensors:
  - name: indoor
    chip: sht3x
    colour: red
`,
		`gateway.yaml:4: unknown key "colour" in sensors[0] (known: name, group, chip, bus, mux, address, device, id, interval, stuck_after, power, also, median, calibration)`},
	{"null values", `listen:
insecure: null
state: ~
log_format:
primary:
sensors:
tls:
hosts:
origins:
commands:
estop:
motors:
`,
		`gateway.yaml:1: listen: no value (give it one, or remove the line)
gateway.yaml:2: insecure: no value (give it one, or remove the line)
gateway.yaml:3: state: no value (give it one, or remove the line)
gateway.yaml:4: log_format: no value (give it one, or remove the line)
gateway.yaml:5: primary: no value (give it one, or remove the line)
gateway.yaml:6: sensors: no value (give it one, or remove the line)
gateway.yaml:7: tls: no value (give it one, or remove the line)
gateway.yaml:8: hosts: no value (give it one, or remove the line)
gateway.yaml:9: origins: no value (give it one, or remove the line)
gateway.yaml:10: commands: no value (give it one, or remove the line)
gateway.yaml:11: estop: no value (give it one, or remove the line)
gateway.yaml:12: motors: no value (give it one, or remove the line)`},
	{"null sensor", `sensors:
  -
`,
		"gateway.yaml:2: sensors[0]: no value (give it one, or remove the line)"},
	{"null values in a sensor", `sensors:
  - name:
    chip:
    bus:
    address:
    interval:
    stuck_after:
`,
		`gateway.yaml:2: sensors[0].name: no value (give it one, or remove the line)
gateway.yaml:3: sensors[0].chip: no value (give it one, or remove the line)
gateway.yaml:4: sensors[0].bus: no value (give it one, or remove the line)
gateway.yaml:5: sensors[0].address: no value (give it one, or remove the line)
gateway.yaml:6: sensors[0].interval: no value (give it one, or remove the line)
gateway.yaml:7: sensors[0].stuck_after: no value (give it one, or remove the line)`},
	{"wrong kinds", `listen: [a]
insecure: {a: 1}
state: []
log_format: {}
primary: [x]
sensors: {name: indoor}
tls: [a]
hosts: {a: 1}
origins: https://scada.example
commands: [local]
estop: GPIO22
motors: {name: fan}
`,
		`gateway.yaml:1: listen: a list where a single value must be (write listen: value)
gateway.yaml:2: insecure: a mapping where a single value must be (write insecure: value)
gateway.yaml:3: state: a list where a single value must be (write state: value)
gateway.yaml:4: log_format: a mapping where a single value must be (write log_format: value)
gateway.yaml:5: primary: a list where a single value must be (write primary: value)
gateway.yaml:6: sensors: a mapping where a list must be (begin each sensor with "- ")
gateway.yaml:7: tls: a list where keys with values must be (write key: value)
gateway.yaml:8: hosts: a mapping where a list must be (begin each item with "- ")
gateway.yaml:9: origins: "https://scada.example" where a list must be (write origins: ["https://scada.example"])
gateway.yaml:10: commands: a list where a single value must be (write commands: value)
gateway.yaml:11: estop: "GPIO22" where keys with values must be (write key: value)
gateway.yaml:12: motors: a mapping where a list must be (begin each motor with "- ")`},
	{"primary", `primary: outdoor
sensors:
  - {name: a, chip: sht3x}
  - {name: b, chip: aht20}
`,
		`gateway.yaml:1: primary: no sensor is named "outdoor" (write a or b)`},
	{"bus_recovery", oneSensor + "bus_recovery: [clocks, reboot, clocks]\n",
		`gateway.yaml:2: bus_recovery[1]: "reboot" is no step (write clocks or rebind)
gateway.yaml:2: bus_recovery[2]: "clocks" is there already (remove one)`},
	{"log_format", oneSensor + "log_format: JSON\n",
		`gateway.yaml:2: log_format: unknown log format "JSON" (write auto, text, journal or json)`},
	{"state, relative", oneSensor + "state: var/gateway\n",
		`gateway.yaml:2: state: "var/gateway" is not the full path of a directory (begin it at the root, such as /var/lib/gateway)`},
	{"state, empty", oneSensor + "state: ''\n",
		`gateway.yaml:2: state: "" is not the full path of a directory (begin it at the root, such as /var/lib/gateway)`},
	{"state, home", oneSensor + "state: ~/gateway\n",
		`gateway.yaml:2: state: "~/gateway" is not the full path of a directory (begin it at the root, such as /var/lib/gateway)`},
	{"state, two lines", oneSensor + `state: |
  /a
  /b
`,
		`gateway.yaml:2: state: "/a\n/b\n" is not the full path of a directory (begin it at the root, such as /var/lib/gateway)`},
	{"insecure", oneSensor + "insecure: yes\n",
		`gateway.yaml:2: insecure: "yes" is neither true nor false (write true)`},
	{"insecure, no idea", oneSensor + "insecure: maybe\n",
		`gateway.yaml:2: insecure: "maybe" is neither true nor false (write true or false)`},
	{"insecure off", oneSensor + "insecure: 0\n",
		`gateway.yaml:2: insecure: "0" is neither true nor false (write false)`},
	{"listen beyond this machine", oneSensor + "listen: 0.0.0.0:8765\n",
		`gateway.yaml:2: listen: other machines can reach "0.0.0.0:8765", unencrypted (set tls, or write insecure: true in the file to allow that, or listen on localhost:8765)`},
	{"listen, tls mistaken", oneSensor + `listen: 0.0.0.0:8765
tls: {cert: /a}
`,
		`gateway.yaml:3: tls: no key (add one, such as key: /etc/gateway/gateway.key)`},
	{"listen, insecure mistaken", oneSensor + `listen: 0.0.0.0:8765
insecure: ja
`,
		`gateway.yaml:3: insecure: "ja" is neither true nor false (write true or false)`},
	{"listen, insecure denied", oneSensor + `insecure: false
listen: pi.local:80
`,
		`gateway.yaml:3: listen: other machines can reach "pi.local:80", unencrypted (set tls, or write insecure: true in the file to allow that, or listen on localhost:80)`},
	{"listen is a port", oneSensor + "listen: 8765\n",
		`gateway.yaml:2: listen: "8765" is only a port (write localhost:8765, or :8765 for all interfaces)`},
	{"all at once, in the order of the file", `primary: x
listen: nowhere
sensors:
  - name: A
    chip: y
    adress: 1
    interval: 5
  - chip: sht3x
    name: b
    stuck_after: 1
insecure: maybe
colour: red
`,
		`gateway.yaml:1: primary: no sensor is named "x" (write A or b)
gateway.yaml:2: listen: "nowhere" has no port (write host:port, such as localhost:8765)
gateway.yaml:4: sensors[0].name: "A" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:5: sensors[0].chip: unknown chip "y" (write aht20, bme280, ds18b20, hwmon or sht3x)
gateway.yaml:6: unknown key "adress" in sensors[0] (did you mean "address"?)
gateway.yaml:7: sensors[0].interval: "5" has no unit (write 5ms)
gateway.yaml:10: sensors[1].stuck_after: "1" has no unit (write 1s)
gateway.yaml:11: insecure: "maybe" is neither true nor false (write true or false)
gateway.yaml:12: unknown key "colour" (known: name, listen, tls, insecure, hosts, origins, url, proxies, commands, diagnostics, access, metrics, limits, state, history, log_format, primary, sensors, bus_recovery, estop, motors, alarms, webhook, home_assistant, uplink)`},
	{"flow, by column", "sensors: [{interval: 1, name: A, chip: sht3x, bus: '?'}]\n",
		`gateway.yaml:1: sensors[0].interval: "1" has no unit (write 1s)
gateway.yaml:1: sensors[0].name: "A" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:1: sensors[0].bus: "?" is not a bus (write N for /dev/i2c-N, mostly 1; or a path in /dev, a USB port such as 1-1.2, or an adapter's name)`},
	{"long value", oneSensor + "log_format: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
		`gateway.yaml:2: log_format: unknown log format "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…" (write auto, text, journal or json)`},
}
