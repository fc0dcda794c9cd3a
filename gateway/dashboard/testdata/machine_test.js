// @ts-check
// What the page says of the machine.

import { bytes, machineFacts, machineState } from "/page/machine.js";
import { equal, test } from "./harness.js";

test("amounts of data have two or three digits", () => {
  equal([0, 999, 1000, 12_345, 999_949, 123_456_789, 4e9, 5e15].map(bytes), ["0 B", "999 B", "1.0 kB", "12.3 kB", "1000 kB", "123 MB", "4.0 GB", "5000 TB"]);
});

test("a machine says what it knows, and what it does not", () => {
  equal(machineFacts({
    cpu_ratio: 0.125, cpu_temperature_celsius: 48.3, memory_total_bytes: 4e9, memory_available_bytes: 3e9,
    network_receive_bytes_per_second: 1500, network_transmit_bytes_per_second: 0, disk_free_bytes: 2e10, uptime_seconds: 7500,
  }), { cpu: "13 %", temperature: "48.30 °C", memory: "1.0 GB of 4.0 GB used", network: "1.5 kB/s received, 0 B/s sent", disk: "20.0 GB", uptime: "2 h 5 min" });
  const unknown = "not known on this machine";
  equal(machineFacts({ memory_total_bytes: 4e9 }), { cpu: unknown, temperature: "this machine has no thermometer", memory: unknown, network: unknown, disk: unknown, uptime: unknown });
});

test("a hub says how old the numbers are, and nothing of a machine that it does not know", () => {
  const waiting = { machine_age_seconds: null }, old = { cpu_ratio: 0.125, machine_age_seconds: 75.4, machine_reason: "pi-7 is away" };
  equal([...new Set(Object.values(machineFacts(waiting)))], ["–"]);
  const { cpu, temperature } = machineFacts(old);
  equal([cpu, temperature], ["13 %", "this machine has no thermometer"]);
  equal([waiting, old, { machine_age_seconds: 12.9 }, { machine_age_seconds: null, machine_reason: "pi-7 is away" }].map(machineState), ["", "1 min ago · pi-7 is away", "12 s ago", "pi-7 is away"]);
});
