package access

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"sensorgateway/wire"
)

// InScope returns those motors that the client may see.
func (id *Identity) InScope(motors []wire.MotorState) []wire.MotorState {
	if len(id.Motors) == 0 {
		return motors
	}
	return slices.DeleteFunc(slices.Clone(motors), func(m wire.MotorState) bool { return !id.Motors.Has(m.Target) })
}

// MayNot returns why the client may not send a command that is no stop, nil if it may.
// The status of motors is shown to everybody who may see.
func (id *Identity) MayNot(cmd wire.Command) error {
	switch reason := id.Ended(); {
	case reason != "":
		return errors.New(reason)
	case cmd.Action == wire.Status:
		return nil
	case cmd.Action == wire.Reset && len(id.Motors) > 0:
		return fmt.Errorf("a reset is for all motors, and the scope of %s is not", id.Label())
	}
	return id.Denied
}

// Within limits a command, a stop too, to the motors in the client's scope. An e-stop is
// always for all motors, and an acknowledge for none.
func (id *Identity) Within(cmd wire.Command, motors func() []wire.MotorState) (wire.Command, error) {
	if len(id.Motors) == 0 || cmd.Action == wire.EStop || cmd.Action == wire.Reset || cmd.Action == wire.Acknowledge {
		return cmd, nil
	}
	if cmd.Target == wire.All {
		if cmd.Action != wire.Keepalive { // which is for those that the client holds
			cmd.Targets = []string{}
			for _, m := range id.InScope(motors()) {
				cmd.Targets = append(cmd.Targets, m.Target)
			}
		}
		return cmd, nil
	}
	names := cmd.Targets
	if names == nil {
		names = []string{cmd.Target}
	}
	i := slices.IndexFunc(names, func(name string) bool { return !id.Motors.Has(name) })
	if i < 0 {
		return cmd, nil
	}
	within := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !id.Motors.Has(name) })
	if !cmd.Stops() || len(within) == 0 {
		return cmd, wire.Errorf(http.StatusForbidden, "%s is not in the scope of %s", names[i], id.Label())
	}
	cmd.Targets = within // those out of scope are no reason not to stop the others
	cmd.Warning = fmt.Sprintf("%s is not in the scope of %s", names[i], id.Label())
	return cmd, nil
}
