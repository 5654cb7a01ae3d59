package chaos

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNamesOfProcesses(t *testing.T) {
	require.True(t, isProgram("onsite-decode", "onsite-decode"))
	require.False(t, isProgram("onsite", "onsite-decode"), "a worker is no decoder child: its time would count twice")
	require.True(t, isProgram("a-name-of-sixte", "a-name-of-sixteen"), "the kernel keeps 15 bytes")
}

func TestNetworkRefuses(t *testing.T) {
	require.NoError(t, Network{}.Check())
	for _, n := range []Network{{Delay: time.Second}, {Rate: "1mbit"}, {Hosts: -1}, {Hosts: maxHosts + 1}, {Hosts: 1, Delay: time.Minute}, {Hosts: 1, Rate: "1mbit; reboot"}} {
		var wrong *NetworkError
		require.ErrorAs(t, n.Check(), &wrong, "%+v", n)
		require.NotEmpty(t, wrong.Text.EN)
		require.NotEmpty(t, wrong.Text.ZH)
	}
}

func TestShapeOfCables(t *testing.T) {
	for want, n := range map[string]Network{
		"netem delay 1500us rate 5mbit":            {Delay: 1500 * time.Microsecond, Rate: "5mbit"},
		"netem delay 2000us":                       {Delay: 2 * time.Millisecond},
		"tbf rate 5mbit burst 256kb latency 200ms": {Rate: "5mbit"},
		"": {},
	} {
		require.Equal(t, want, strings.Join((&cables{Network: n}).shape(), " "))
	}
}

// A host reaches this machine at its address and nothing else of it; where no host can be made, the error says what is missing, and nothing is
// left behind either way.
func TestHosts(t *testing.T) {
	ctx := context.Background()
	c, err := Network{Hosts: 2}.lay(ctx)
	if err != nil {
		var wrong *NetworkError
		require.ErrorAs(t, err, &wrong)
		require.Contains(t, wrong.Text.EN, "--hosts")
		return
	}
	defer func() {
		require.NoError(t, c.remove())
		require.NotContains(t, spaces(ctx), c.space(0))
		require.Error(t, exec.Command("ip", "link", "show", c.name).Run(), "the bridge is gone")
	}()
	require.NotEqual(t, c.space(0), c.space(1))
	heard := make(chan netip.Addr, 2)
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", netip.AddrPortFrom(c.machine.Addr(), 0).String())
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			heard <- netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr()
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	connect := func(host int, address string) error {
		path, args := c.on(host, "bash", []string{"-c", ": < /dev/tcp/" + address + "/" + port})
		return exec.Command(path, args...).Run()
	}
	require.NoError(t, connect(1, c.machine.Addr().String()))
	from := <-heard
	require.True(t, c.machine.Contains(from))
	require.NotEqual(t, c.machine.Addr(), from, "the host has an address of its own")
	require.Error(t, connect(0, "127.0.0.1"), "its loopback is its own")
}
