// Package motor carries out commands for motors, and is the only code that
// drives a pin. It knows what travels ([wire.Command], [wire.MotorState]) and
// periph's GPIO. It refuses to know sockets, who may command, the hub and YAML:
// commands, readings and the ends of connections reach it as calls.
//
// # The path of a command
//
//  1. The caller has parsed the message and knows its client, so every
//     parameter is in range: [Controller.Command].
//  2. A stop or an e-stop passes all other commands that wait; it waits for
//     what is being driven at this moment, and no longer.
//  3. What is over by now (a lease, a run time, an interlock) ends first, as if
//     the command had come later. So no command rests on what no longer holds.
//  4. The client's lease of that motor, if it has one, begins anew.
//  5. A repeat gets the first answer again, and the path ends here.
//  6. One that is late, or that the motor, a latch, another's lease, an
//     interlock or a pause forbids, is refused (refuse.go).
//  7. It becomes the motor's order (order.go): how fast, which way, for whom,
//     until when.
//  8. The course (course.go) says what the output is driven with at this
//     moment on the way there: at once, on a ramp, or not before a dwell.
//  9. The pin is driven and read back (drive.go). If either fails, the
//     motor is off, its fault is latched and the answer is 503.
//  10. The answer carries what was read back. All who subscribed are told, by
//     another goroutine and so sometimes before (board.go), and [Controller.Run] goes on: it ramps, and it ends the order
//     when its time is up.
//
// Nothing is queued on this path: a command is carried out or refused when it
// comes, and is never played later.
//
// # What keeps a motor running
//
// An order, and nothing else. Each of these ends it, at once and without a ramp,
// and nothing brings it back but another start:
//
//	command            a stop, from anybody
//	lease              the holder was silent for too long
//	run_ms             the order's own time is up
//	max_run            the configured time is up
//	disconnect         the connection of its operator ended
//	interlock:TEXT     the condition does not hold
//	estop              latches all motors until a reset
//	fault              the hardware failed; latches its motor until a reset
//	shutdown           the program ends
//
// These are the reasons in a [wire.MotorState]; "boot" is the reason of a motor
// that has not been commanded since the program started.
package motor
