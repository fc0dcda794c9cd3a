// Package wire is what travels: readings and records in their binary form, the
// JSON envelopes around everything else, and the numbers both sides must agree
// on (causes of failure, flags, quantities, subprotocols, close codes and reasons).
//
// It is the domain of the whole program, so it knows nothing else: no clock, no
// socket, no sensor, nothing beyond the standard library. The code that uses these
// bytes decides when they are made and where they go.
package wire
