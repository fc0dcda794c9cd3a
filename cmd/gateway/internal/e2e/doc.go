// Package e2e has the tests of the built program: they start it as its users do, and
// see it only from outside, as clients in several languages, as a browser,
// as an administrator with signals, files and scripts, and as a machine whose
// power is cut. It refuses to know how the program is made: of the project's
// packages it uses those that a client or a reader of the log would.
package e2e
