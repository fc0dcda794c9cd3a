package config

// badSensors are files that must be refused for their sensors.
var badSensors = []struct{ name, file, want string }{
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
	{"no sensors key", "listen: localhost:8765\n",
		"gateway.yaml:1: no sensors (add them: each has a name and a chip, aht20, bme280, ds18b20, hwmon or sht3x)"},
	{"empty list of sensors", "sensors: []\n",
		"gateway.yaml:1: sensors: an empty list (add sensors: each has a name and a chip, aht20, bme280, ds18b20, hwmon or sht3x)"},
	{"no name and no chip", `sensors:
  - bus: 1
`,
		`gateway.yaml:2: sensors[0]: no name (add one, such as name: indoor)
gateway.yaml:2: sensors[0]: no chip (add one: chip: aht20, bme280, ds18b20, hwmon or sht3x)`},
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
	{"bad groups", `sensors:
  - {name: a, chip: aht20, bus: 0, group: ""}
  - {name: b, chip: aht20, bus: 1, group: "a house whose name is much too long"}
  - {name: c, chip: aht20, bus: 2, group: [north]}
`,
		`gateway.yaml:2: sensors[0].group: "" is not 1 to 32 printable characters
gateway.yaml:3: sensors[1].group: "a house whose name is much too long" is not 1 to 32 printable characters
gateway.yaml:4: sensors[2].group: a list where a single value must be (write group: value)`},
	{"duplicate names", `sensors:
  - {name: a, chip: sht3x}
  - {name: a, chip: aht20}
`,
		`gateway.yaml:3: sensors[1].name: "a" is the name of sensors[0] on line 2 too (choose another)`},
	{"further quantities", `sensors:
  - {name: a, chip: sht3x, also: [pressure]}
  - {name: b, chip: bme280, also: [presure, pressure, pressure]}
  - {name: b_pressure, chip: aht20}
  - {name: d_pressure, chip: aht20, bus: 2}
  - {name: d, chip: bme280, bus: 2, also: [pressure]}
  - {name: bbbbbbbbbbbbbbbbbbbbbbbb, chip: bme280, bus: 3, also: [pressure]}
  - {name: e, chip: bme280, bus: 4, also: pressure}
  - {name: f, chip: bmx280, also: [pressure]}
`,
		`gateway.yaml:2: sensors[0].also[0]: sht3x measures nothing else (remove the line)
gateway.yaml:3: sensors[1].also[0]: "presure" is no further quantity of bme280 (write pressure)
gateway.yaml:3: sensors[1].also[2]: "pressure" is there already (remove one)
gateway.yaml:4: sensors[2].name: "b_pressure" is the name of sensors[1] on line 3 too (choose another)
gateway.yaml:6: sensors[4].also[0]: the name of this sensor would be "d_pressure", as is that of sensors[3] on line 5 (choose another name there)
gateway.yaml:7: sensors[5].also[0]: the name of this sensor would be "bbbbbbbbbbbbbbbbbbbbbbbb_pressure", of at most 32 characters (shorten the name "bbbbbbbbbbbbbbbbbbbbbbbb")
gateway.yaml:8: sensors[6].also: "pressure" where a list must be (write also: ["pressure"])
gateway.yaml:9: sensors[7].chip: unknown chip "bmx280" (write aht20, bme280, ds18b20, hwmon or sht3x)`},
	{"unknown chip", "sensors: [{name: a, chip: sht31, address: 0x99, interval: 1ms}]\n",
		`gateway.yaml:1: sensors[0].chip: unknown chip "sht31" (write sht3x)`},
	{"a chip in its maker's letters", "sensors: [{name: a, chip: SHT3X-D}, {name: b, chip: BME280}, {name: c, chip: SHT-31}]\n",
		`gateway.yaml:1: sensors[0].chip: unknown chip "SHT3X-D" (write aht20, bme280, ds18b20, hwmon or sht3x)
gateway.yaml:1: sensors[1].chip: unknown chip "BME280" (write bme280)
gateway.yaml:1: sensors[2].chip: unknown chip "SHT-31" (write sht3x)`},
	{"buses", `sensors:
  - {name: a, chip: sht3x, bus: -1}
  - {name: b, chip: sht3x, bus: 256}
  - {name: c, chip: sht3x, bus: /sys/class/i2c-dev/i2c-1}
  - {name: d, chip: sht3x, bus: 1.5}
  - {name: e, chip: sht3x, bus: 010}
  - {name: f, chip: sht3x, bus: i2c-1}
  - {name: g, chip: sht3x, bus: 1-1.}
  - {name: h, chip: sht3x, bus: ""}
  - {name: i, chip: sht3x, bus: 1}
  - {name: j, chip: sht3x, bus: /dev/i2c-1}
`,
		`gateway.yaml:2: sensors[0].bus: "-1" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)
gateway.yaml:3: sensors[1].bus: "256" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)
gateway.yaml:4: sensors[2].bus: "/sys/class/i2c-dev/i2c-1" is not a bus (write N for /dev/i2c-N, mostly 1; or a path in /dev, a USB port such as 1-1.2, or an adapter's name)
gateway.yaml:5: sensors[3].bus: "1.5" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)
gateway.yaml:6: sensors[4].bus: "010" is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)
gateway.yaml:7: sensors[5].bus: "i2c-1" is not a bus (write 1)
gateway.yaml:8: sensors[6].bus: "1-1." is not a whole number from 0 to 255 (write N for /dev/i2c-N, mostly 1)
gateway.yaml:9: sensors[7].bus: "" is not a bus (write N for /dev/i2c-N, mostly 1; or a path in /dev, a USB port such as 1-1.2, or an adapter's name)
gateway.yaml:11: sensors[9].address: 0x44 on bus 1 is the place of sensors[8] on line 10 too (set one of the chips to 0x45, or connect one of them to another bus)`},
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
		`gateway.yaml:1: sensors[0].chip: unknown chip "x" (write aht20, bme280, ds18b20, hwmon or sht3x)
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
	{"multiplexers", `sensors:
  - {name: a, chip: sht3x, mux: 3}
  - {name: b, chip: sht3x, mux: {}}
  - {name: c, chip: sht3x, mux: {address: 0x6f, channel: 8}}
  - {name: d, chip: sht3x, mux: {address: 0x78, channel: -1}}
  - {name: e, chip: sht3x, mux: {address: 70, channel: a, port: 1}}
  - {name: f, chip: sht3x, mux: {address: 0x70, chanel: 1}}
  - {name: g, chip: sht3x, mux: [0x70, 3]}
  - {name: h, chip: sht3x, mux: }
`,
		`gateway.yaml:2: sensors[0].mux: "3" where keys with values must be (write key: value)
gateway.yaml:3: sensors[1].mux: no address (add that of the multiplexer, mostly address: 0x70)
gateway.yaml:3: sensors[1].mux: no channel (add the one that the chip is connected to, such as channel: 0)
gateway.yaml:4: sensors[2].mux.address: "0x6f" is no address of a multiplexer (write 0x70 to 0x77)
gateway.yaml:4: sensors[2].mux.channel: "8" is not a whole number from 0 to 7 (write 0 to 7)
gateway.yaml:5: sensors[3].mux.address: "0x78" is no address of a multiplexer (write 0x70 to 0x77)
gateway.yaml:5: sensors[3].mux.channel: "-1" is not a whole number from 0 to 7 (write 0 to 7)
gateway.yaml:6: sensors[4].mux.address: "70" is no address of a multiplexer (write 0x70 to 0x77)
gateway.yaml:6: sensors[4].mux.channel: "a" is not a whole number from 0 to 7 (write 0 to 7)
gateway.yaml:6: unknown key "port" in sensors[4].mux (known: address, channel)
gateway.yaml:7: sensors[5].mux: no channel (add the one that the chip is connected to, such as channel: 0)
gateway.yaml:7: unknown key "chanel" in sensors[5].mux (did you mean "channel"?)
gateway.yaml:8: sensors[6].mux: a list where keys with values must be (write key: value)
gateway.yaml:9: sensors[7].mux: no value (give it one, or remove the line)`},
	{"places behind multiplexers", `sensors:
  - {name: a, chip: sht3x, mux: {address: 0x70, channel: 0}}
  - {name: b, chip: sht3x, mux: {address: 0x70, channel: 1}}
  - {name: c, chip: sht3x, mux: {address: 0x71, channel: 0}}
  - {name: d, chip: sht3x, mux: {address: 0x71, channel: 0}}
  - {name: e, chip: sht3x}
  - {name: f, chip: aht20}
  - {name: g, chip: aht20, mux: {address: 0x70, channel: 0}}
  - {name: h, chip: sht3x, bus: 2}
`,
		`gateway.yaml:5: sensors[3].address: 0x44 on channel 0 of multiplexer 0x71 on bus 1 is the place of sensors[2] on line 4 too (set one of the chips to 0x45, or connect one of them to another channel or bus)
gateway.yaml:6: sensors[4].address: 0x44 is the address of sensors[0] on line 2 too, and that one is behind a multiplexer of bus 1: while its channel is connected, both would answer (set one of the chips to 0x45, or connect one of them to another bus)
gateway.yaml:8: sensors[6].address: 0x38 is the address of sensors[5] on line 7 too, and this one is behind a multiplexer of bus 1: while its channel is connected, both would answer (connect one of them to another channel or bus)`},
	{"multiplexers' own addresses", `sensors:
  - {name: a, chip: bme280, address: 0x77, mux: {address: 0x77, channel: 0}}
  - {name: b, chip: bme280, mux: {address: 0x70, channel: 0}}
  - {name: c, chip: sht3x, mux: {address: 0x76, channel: 0}}
  - {name: d, chip: aht20, mux: {address: 0x77, channel: 0}}
  - {name: e, chip: bme280, address: 0x77, mux: {address: 0x70, channel: 0}}
  - {name: f, chip: bme280, address: 0x77, bus: 2}
`,
		`gateway.yaml:2: sensors[0].address: 0x77 is the address of the multiplexer itself (set one of the two to another address)
gateway.yaml:4: sensors[2].mux.address: 0x76 on bus 1 is the address of sensors[1] on line 3 too (set one of the two to another address)
gateway.yaml:6: sensors[4].address: 0x77 on bus 1 is the address of a multiplexer, that of sensors[3].mux on line 5 (set one of the two to another address)`},
}
