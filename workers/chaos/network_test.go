package chaos

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
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

// Only what has the whole form of our names, and whose process is gone, may be swept.
func TestNamesOfWhatIsLeft(t *testing.T) {
	const gone = 9999999 // more than Linux numbers processes to
	c := Network{}.of(gone)
	require.LessOrEqual(t, len(c.name), 15, "the kernel takes no longer name of a bridge")
	at, ok := left(c.space(3), true)
	require.True(t, ok)
	require.Equal(t, c.address(3), at)
	at, ok = left(c.name, false)
	require.True(t, ok)
	require.Equal(t, c.machine, at)
	for _, name := range []string{"onsite", "onsite-web", "onsitezz-1", "onsite-h9999999-", "onsite-h9999999-250", "onsite-h9999999-0x", "onsite-h09999999-0", "my-onsite-h9999999-0", c.name, Network{}.of(os.Getpid()).space(0)} {
		_, ok := left(name, true)
		require.False(t, ok, name)
	}
	for _, name := range []string{"onsite0", "onsite-h", "onsite-hub", "onsite-h9999999-0", Network{}.of(os.Getpid()).name} {
		_, ok := left(name, false)
		require.False(t, ok, name)
	}
}

func TestClashOfRoutes(t *testing.T) {
	network := netip.MustParsePrefix("198.18.7.1/24")
	for routes, want := range map[string]string{
		`[{"dst":"default"},{"dst":"10.0.0.0/8"},{"dst":"198.18.8.0/24"},{"dst":"198.18.6.9"}]`: "",
		`[{"dst":"0.0.0.0/1"},{"dst":"128.0.0.0/1"}]`:                                           "",
		`[{"dst":"default"},{"dst":"198.18.0.0/15"}]`:                                           "198.18.0.0/15",
		`[{"dst":"198.18.7.9"}]`:                                                                "198.18.7.9",
		``:                                                                                      "",
	} {
		got, err := clash([]byte(routes), network)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := clash([]byte("default via"), network)
	require.Error(t, err)
}

// A process that died leaves hosts and a bridge, which the next one removes; a namespace that has such a name and not the address stays.
func TestSweep(t *testing.T) {
	ctx := context.Background()
	n := Network{Hosts: 1}
	c := n.of(9999999)
	err := n.Check()
	if err == nil {
		err = c.make(ctx)
	}
	if err != nil {
		var wrong *NetworkError
		require.ErrorAs(t, err, &wrong)
		_ = c.remove()
		return
	}
	again := n.of(9999999)
	require.ErrorContains(t, again.make(ctx), c.machine.Masked().String(), "its network is taken")
	require.NoError(t, again.remove(), "nothing of its own")
	require.NoError(t, exec.Command("ip", "netns", "add", c.space(1)).Run())
	sweepCables(ctx)
	others := spaces(ctx)
	require.NoError(t, exec.Command("ip", "netns", "delete", c.space(1)).Run())
	require.NotContains(t, others, c.space(0))
	require.Contains(t, others, c.space(1))
	require.NotContains(t, bridges(ctx), c.name)
}
