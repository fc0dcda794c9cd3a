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
	{"history alone", oneSensor + "history: 1GiB\n",
		`gateway.yaml:2: history: "1GiB" where keys with values must be (write key: value)`},
	{"control character", oneSensor + "state: /a\x01\n",
		"gateway.yaml:2: a control character (remove it)"},
	{"a word", "hello\n",
		`gateway.yaml:1: the whole file: "hello" where keys with values must be (write key: value)`},
	{"a list", "- a\n",
		"gateway.yaml:1: the whole file: a list where keys with values must be (write key: value)"},
	{"second document", oneSensor + `---
listen: :1
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
listen: :1
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
listen: :1
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
	{"duplicate key", `listen: :1
sensors: [{name: indoor, chip: sht3x}]
listen: :2
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
	{"unknown key, no idea", oneSensor + "colour: red\n",
		`gateway.yaml:2: unknown key "colour" (known: listen, tls, insecure, hosts, origins, commands, state, history, log_format, primary, sensors, estop, motors)`},
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
		`gateway.yaml:4: unknown key "colour" in sensors[0] (known: name, chip, bus, address, interval, stuck_after)`},
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
	{"sensors is a word", "sensors: sht3x\n",
		`gateway.yaml:1: sensors: "sht3x" where a list must be (begin each sensor with "- ")`},
	{"sensor is a word", "sensors: [sht3x]\n",
		`gateway.yaml:1: sensors[0]: "sht3x" where keys with values must be (write key: value)`},
	{"wrong kinds in a sensor", `sensors:
  - name: [a]
    chip: {a: 1}
    bus: []
    address: [1]
    interval: {}
    stuck_after: []
`,
		`gateway.yaml:2: sensors[0].name: a list where a single value must be (write name: value)
gateway.yaml:3: sensors[0].chip: a mapping where a single value must be (write chip: value)
gateway.yaml:4: sensors[0].bus: a list where a single value must be (write bus: value)
gateway.yaml:5: sensors[0].address: a list where a single value must be (write address: value)
gateway.yaml:6: sensors[0].interval: a mapping where a single value must be (write interval: value)
gateway.yaml:7: sensors[0].stuck_after: a list where a single value must be (write stuck_after: value)`},
	{"no sensors key", "listen: :8765\n",
		"gateway.yaml:1: no sensors (add them: each has a name and a chip, aht20, bme280 or sht3x)"},
	{"empty list of sensors", "sensors: []\n",
		"gateway.yaml:1: sensors: an empty list (add sensors: each has a name and a chip, aht20, bme280 or sht3x)"},
	{"no name and no chip", `sensors:
  - bus: 1
`,
		`gateway.yaml:2: sensors[0]: no name (add one, such as name: indoor)
gateway.yaml:2: sensors[0]: no chip (add one: chip: aht20, bme280 or sht3x)`},
	{"bad names", `sensors:
  - {name: Indoor, chip: aht20, bus: 0}
  - {name: 1st, chip: aht20, bus: 1}
  - {name: 'a b', chip: aht20, bus: 2}
  - {name: ça, chip: aht20, bus: 3}
  - {name: '', chip: aht20, bus: 4}
  - {name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, chip: aht20, bus: 5}
  - {name: ../x, chip: aht20, bus: 6}
  - {name: "a\nb", chip: aht20, bus: 7}
`,
		`gateway.yaml:2: sensors[0].name: "Indoor" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:3: sensors[1].name: "1st" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:4: sensors[2].name: "a b" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:5: sensors[3].name: "ça" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:6: sensors[4].name: "" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:7: sensors[5].name: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:8: sensors[6].name: "../x" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:9: sensors[7].name: "a\nb" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)`},
	{"duplicate names", `sensors:
  - {name: a, chip: sht3x}
  - {name: a, chip: aht20}
`,
		`gateway.yaml:3: sensors[1].name: "a" is the name of sensors[0] on line 2 too (choose another)`},
	{"unknown chip", "sensors: [{name: a, chip: sht31, address: 0x99, interval: 1ms}]\n",
		`gateway.yaml:1: sensors[0].chip: unknown chip "sht31" (write aht20, bme280 or sht3x)`},
	{"buses", `sensors:
  - {name: a, chip: sht3x, bus: -1}
  - {name: b, chip: sht3x, bus: 256}
  - {name: c, chip: sht3x, bus: /dev/i2c-1}
  - {name: d, chip: sht3x, bus: 1.5}
  - {name: e, chip: sht3x, bus: 010}
`,
		`gateway.yaml:2: sensors[0].bus: "-1" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)
gateway.yaml:3: sensors[1].bus: "256" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)
gateway.yaml:4: sensors[2].bus: "/dev/i2c-1" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)
gateway.yaml:5: sensors[3].bus: "1.5" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)
gateway.yaml:6: sensors[4].bus: "010" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)`},
	{"addresses", `sensors:
  - {name: s0, chip: sht3x, bus: 0, address: 0x46}
  - {name: s1, chip: sht3x, bus: 1, address: 44}
  - {name: s2, chip: sht3x, bus: 2, address: 0x88}
  - {name: s3, chip: sht3x, bus: 3, address: 0x8b}
  - {name: s4, chip: aht20, bus: 4, address: 0x39}
  - {name: s5, chip: sht3x, bus: 5, address: 0x144}
  - {name: s6, chip: sht3x, bus: 6, address: 'x'}
  - {name: s7, chip: sht3x, bus: 7, address: 4_4}
  - {name: s8, chip: sht3x, bus: 8, address: 0o104}
`,
		`gateway.yaml:2: sensors[0].address: "0x46" is no address of sht3x (write 0x44 or 0x45)
gateway.yaml:3: sensors[1].address: "44" is no address of sht3x (write 0x44)
gateway.yaml:4: sensors[2].address: "0x88" is no address of sht3x (write 0x44)
gateway.yaml:5: sensors[3].address: "0x8b" is no address of sht3x (write 0x45)
gateway.yaml:6: sensors[4].address: "0x39" is no address of aht20 (write 0x38)
gateway.yaml:7: sensors[5].address: "0x144" is not a whole number from 0 to 255 (write 0x44 or 0x45)
gateway.yaml:8: sensors[6].address: "x" is not a whole number from 0 to 255 (write 0x44 or 0x45)
gateway.yaml:9: sensors[7].address: "4_4" is not a whole number from 0 to 255 (write 0x44 or 0x45)
gateway.yaml:10: sensors[8].address: "0o104" is not a whole number from 0 to 255 (write 0x44 or 0x45)`},
	{"same address", `sensors:
  - {name: a, chip: sht3x}
  - {name: b, chip: sht3x}
`,
		"gateway.yaml:3: sensors[1].address: 0x44 on bus 1 is the place of sensors[0] on line 2 too (set one of the chips to 0x45, or connect one of them to another bus)"},
	{"same address, written twice", `sensors:
  - name: a
    chip: sht3x
    address: 68
  - name: b
    chip: sht3x
    address: 0x44
`,
		"gateway.yaml:7: sensors[1].address: 0x44 on bus 1 is the place of sensors[0] on line 4 too (set one of the chips to 0x45, or connect one of them to another bus)"},
	{"same address, no other", `sensors:
  - {name: a, chip: aht20}
  - {name: b, chip: aht20}
`,
		"gateway.yaml:3: sensors[1].address: 0x38 on bus 1 is the place of sensors[0] on line 2 too (connect one of them to another bus)"},
	{"all addresses of a bus taken", `sensors:
  - {name: a, chip: sht3x}
  - {name: b, chip: sht3x, address: 0x45}
  - {name: c, chip: sht3x}
`,
		"gateway.yaml:4: sensors[2].address: 0x44 on bus 1 is the place of sensors[0] on line 2 too (connect one of them to another bus)"},
	{"durations", `sensors:
  - {name: s0, chip: sht3x, bus: 0, interval: 100}
  - {name: s1, chip: sht3x, bus: 1, interval: 0}
  - {name: s2, chip: sht3x, bus: 2, interval: 1.5}
  - {name: s3, chip: sht3x, bus: 3, interval: 100 ms}
  - {name: s4, chip: sht3x, bus: 4, interval: '1,5s'}
  - {name: s5, chip: sht3x, bus: 5, interval: 1 minute}
  - {name: s6, chip: sht3x, bus: 6, interval: soon}
  - {name: s7, chip: sht3x, bus: 7, interval: -5s}
  - {name: s8, chip: sht3x, bus: 8, interval: 0s}
  - {name: s9, chip: sht3x, bus: 9, interval: 10ms}
  - {name: s10, chip: sht3x, bus: 10, interval: 19.999ms}
  - {name: s11, chip: sht3x, bus: 11, interval: 100.5ms}
  - {name: s12, chip: sht3x, bus: 12, interval: 1500us}
  - {name: s13, chip: sht3x, bus: 13, interval: 24h1ms}
  - {name: s14, chip: sht3x, bus: 14, interval: 9999999h}
`,
		`gateway.yaml:2: sensors[0].interval: "100" has no unit (write 100ms)
gateway.yaml:3: sensors[1].interval: "0" is too short: one measurement of sht3x takes up to 20ms (write 20ms or more)
gateway.yaml:4: sensors[2].interval: "1.5" has no unit (write 1.5s)
gateway.yaml:5: sensors[3].interval: "100 ms" is not a duration (write 100ms)
gateway.yaml:6: sensors[4].interval: "1,5s" is not a duration (write 1.5s)
gateway.yaml:7: sensors[5].interval: "1 minute" is not a duration (write a number with a unit, such as 100ms, 5s or 1m30s)
gateway.yaml:8: sensors[6].interval: "soon" is not a duration (write a number with a unit, such as 100ms, 5s or 1m30s)
gateway.yaml:9: sensors[7].interval: "-5s" is too short: one measurement of sht3x takes up to 20ms (write 20ms or more)
gateway.yaml:10: sensors[8].interval: "0s" is too short: one measurement of sht3x takes up to 20ms (write 20ms or more)
gateway.yaml:11: sensors[9].interval: "10ms" is too short: one measurement of sht3x takes up to 20ms (write 20ms or more)
gateway.yaml:12: sensors[10].interval: "19.999ms" is too short: one measurement of sht3x takes up to 20ms (write 20ms or more)
gateway.yaml:13: sensors[11].interval: "100.5ms" is not a whole number of milliseconds (write 101ms)
gateway.yaml:14: sensors[12].interval: "1500us" is too short: one measurement of sht3x takes up to 20ms (write 20ms or more)
gateway.yaml:15: sensors[13].interval: "24h1ms" is out of range (1ms to 24h)
gateway.yaml:16: sensors[14].interval: "9999999h" is not a duration (write a number with a unit, such as 100ms, 5s or 1m30s)`},
	{"interval of an unknown chip", "sensors: [{name: a, chip: x, interval: 100us}]\n",
		`gateway.yaml:1: sensors[0].chip: unknown chip "x" (write aht20, bme280 or sht3x)
gateway.yaml:1: sensors[0].interval: "100us" is out of range (1ms to 24h)`},
	{"below an AHT20's minimum", "sensors: [{name: a, chip: aht20, interval: 50ms}]\n",
		`gateway.yaml:1: sensors[0].interval: "50ms" is too short: one measurement of aht20 takes up to 100ms (write 100ms or more)`},
	{"stuck_after", `sensors:
  - {name: s0, chip: sht3x, bus: 0, stuck_after: 60}
  - {name: s1, chip: sht3x, bus: 1, stuck_after: -1s}
  - {name: s2, chip: sht3x, bus: 2, stuck_after: 199ms}
  - {name: s3, chip: sht3x, bus: 3, stuck_after: 241h}
  - {name: s4, chip: sht3x, bus: 4, stuck_after: never}
`,
		`gateway.yaml:2: sensors[0].stuck_after: "60" has no unit (write 60s)
gateway.yaml:3: sensors[1].stuck_after: "-1s" is less than two intervals of 100ms (write at least 200ms, or 0s for never)
gateway.yaml:4: sensors[2].stuck_after: "199ms" is less than two intervals of 100ms (write at least 200ms, or 0s for never)
gateway.yaml:5: sensors[3].stuck_after: "241h" is too long (at most 240h, or 0s for never)
gateway.yaml:6: sensors[4].stuck_after: "never" is not a duration (write a number with a unit, such as 100ms, 5s or 1m30s)`},
	{"primary", `primary: outdoor
sensors:
  - {name: a, chip: sht3x}
  - {name: b, chip: aht20}
`,
		`gateway.yaml:1: primary: no sensor is named "outdoor" (write a or b)`},
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
		`gateway.yaml:2: listen: "8765" is only a port (write :8765)`},
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
gateway.yaml:5: sensors[0].chip: unknown chip "y" (write aht20, bme280 or sht3x)
gateway.yaml:6: unknown key "adress" in sensors[0] (did you mean "address"?)
gateway.yaml:7: sensors[0].interval: "5" has no unit (write 5ms)
gateway.yaml:10: sensors[1].stuck_after: "1" has no unit (write 1s)
gateway.yaml:11: insecure: "maybe" is neither true nor false (write true or false)
gateway.yaml:12: unknown key "colour" (known: listen, tls, insecure, hosts, origins, commands, state, history, log_format, primary, sensors, estop, motors)`},
	{"flow, by column", "sensors: [{interval: 1, name: A, chip: sht3x, bus: x}]\n",
		`gateway.yaml:1: sensors[0].interval: "1" has no unit (write 1s)
gateway.yaml:1: sensors[0].name: "A" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:1: sensors[0].bus: "x" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)`},
	{"long value", oneSensor + "log_format: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
		`gateway.yaml:2: log_format: unknown log format "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…" (write auto, text, journal or json)`},
}
