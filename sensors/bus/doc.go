// Package bus carries I²C transactions between the program and its chips, for
// years: the /dev/i2c-N transport of Linux, which lets go of an adapter that is
// unplugged, and the managed [Bus] that all chips of one bus share, which lets nobody
// wait long for another's transaction, repeats those that were not acknowledged, and
// survives a bus that is missing, disappears, comes back or hangs.
//
// It knows addresses, bytes and errors. It refuses to know which chip stands
// at an address, what the bytes mean, who asks, and whether the transport is
// real or emulated.
//
// # Why not periph's own transport
//
// sysfs.I2C.Tx of periph.io/x/host/v3 v3.8.5 keeps the address of its message
// array, a local variable, as a uintptr across a mutex and several calls. The
// array lies on the goroutine's stack (nothing makes it escape), and a stack
// moves when it grows or when a garbage collection shrinks it, which leaves
// the uintptr behind: with another goroutine holding the mutex, one collection
// moved the stack in ten of ten trials. The kernel then reads its messages
// from freed memory, and writes what a chip answered to wherever they point.
// Besides, it flattens errors with %v, so that no caller can tell a chip that
// does not acknowledge from a bus that is missing; cuts a message's length to 16
// bits without a word; retries no EINTR; and sends
// people without permission to the group plugdev. The transport here
// implements the same i2c.BusCloser, so periph's drivers work on it unchanged.
package bus
