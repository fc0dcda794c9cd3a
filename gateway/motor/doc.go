// Package motor carries out commands for motors, and is the only code that
// drives a motor. It knows what travels ([wire.Command], [wire.MotorState]) and
// pins. It refuses to know sockets, who may command, the broadcast and YAML:
// commands, readings and the ends of connections reach it as calls.
//
// # The path of a command
//
//  1. The caller has parsed the message and knows its client, so every
//     parameter is in range: [Controller.Command].
//  2. A stop or an e-stop passes all other commands that wait; it waits for the
//     present write to a pin, and no longer.
//  3. What is due by now (the end of a lease or a run time, an interlock) is done
//     first, so that no command relies on a state that has already ended.
//  4. The client's lease of that motor, if it has one, restarts.
//  5. A repeat is answered with the state of now, and the path ends here.
//  6. A command that has expired, or that the motor, a latch, another's lease or
//     control, an interlock or a pause forbids, is refused (refuse.go).
//  7. The action's handler carries it out (command.go). A start or a set becomes
//     the motor's order (order.go): how fast, in which direction, for whom, until
//     when.
//  8. The motion profile (profile.go) has the speed for this moment: the goal, a
//     step of a ramp, or 0 during a dwell or a pause.
//  9. The pin is driven and read back (drive.go). If either fails, the motor is
//     driven off, its fault is latched and the answer is 503.
//  10. The answer carries what was read back. Another goroutine notifies the
//     listener (publisher.go), sometimes before the answer. [Controller.Run]
//     continues the profile, and ends the order when its time is up.
//
// Nothing is queued on this path: a command is carried out or refused when it
// comes, and is never played later.
//
// # What keeps a motor running
//
// An order, and nothing else. What ends one, at once and without a ramp, is in
// README.md by the reasons of a [wire.MotorState]; only another start makes the motor
// run again.
package motor
