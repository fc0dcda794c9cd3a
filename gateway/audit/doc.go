// Package audit keeps who did what, so that afterwards a record that was changed,
// moved or dropped is found.
//
// Records are lines of JSON in files that only grow. Each line ends with an
// HMAC-SHA256 over itself and the one before it, with a key that is kept outside
// the files; the newest of these codes, the anchor, is kept apart as well. Whoever
// has neither key nor anchor can neither forge a record nor remove one that the
// anchor covers without [Verify] naming it. Whoever has both, such as root on the
// machine, can: an anchor that was copied elsewhere (the program logs one an hour)
// holds against that too.
//
// There are two chains: what was done, and what was refused or repeated. The second
// is counted together, so that an attacker who is refused a million times pushes
// nothing out of the first.
//
// The package knows files and records. It refuses to know who may do what, what a
// command means and how a client is connected: its callers know.
package audit
