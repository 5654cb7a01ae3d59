package verify

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// A part that crashes on a goroutine of its own crashes its caller, who can recover, and not the process with every other job in it.
func TestACrashReachesTheCaller(t *testing.T) {
	r := &run{}
	defer func() {
		c, ok := recover().(*Crash)
		require.True(t, ok)
		value, stack := c.Origin()
		require.Equal(t, "boom", value)
		require.Contains(t, string(stack), "TestACrashReachesTheCaller")
	}()
	_ = r.sideBySide(context.Background(), func(context.Context) error { return errors.New("told") }, func(context.Context) error { panic("boom") })
}
