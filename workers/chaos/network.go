package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"onsite/pipeline"
)

// Network says on which hosts the workers of a stand run. A host is a network namespace of this machine: it has an address of its own and
// shares no socket with anybody, so that whatever the parts say to each other goes over a (virtual) cable. PostgreSQL, Redis, MinIO and the
// APIs stay together on the machine itself, at the other end of all cables. Processors and disks are shared: they are no hosts of their own.
type Network struct {
	Hosts int           // for the workers, which are dealt out in turn; 0: everything on this machine
	Delay time.Duration // one way, on each cable; 0: none. Needs the kernel's netem
	Rate  string        // of each cable in each direction, as tc writes it: 100mbit; "": as fast as it goes
}

// NetworkError says why there can be no such hosts here, and what to do.
type NetworkError struct {
	Text pipeline.Text
	Err  error
}

func (e *NetworkError) Error() string { return e.Text.EN }

// Unwrap gives the cause.
func (e *NetworkError) Unwrap() error { return e.Err }

// maxHosts is how many addresses of the network are left for hosts.
const maxHosts = 250

var speed = regexp.MustCompile(`^[0-9]{1,6}(kbit|mbit|gbit)$`)

// Check says whether hosts can be made here, without making any.
func (n Network) Check() error {
	switch {
	case n.Hosts == 0 && (n.Delay != 0 || n.Rate != ""):
		return &NetworkError{Text: pipeline.Text{EN: "a delay or rate of the network needs hosts; give --hosts, too", ZH: "网络延迟或速率须与 --hosts 同时使用"}}
	case n.Hosts == 0:
		return nil
	case n.Hosts < 0 || n.Hosts > maxHosts:
		return &NetworkError{Text: pipeline.Text{EN: fmt.Sprintf("--hosts: %d is not between 1 and %d", n.Hosts, maxHosts), ZH: fmt.Sprintf("--hosts：%d 不在 1 到 %d 之间", n.Hosts, maxHosts)}}
	case n.Delay < 0 || n.Delay > 10*time.Second:
		return &NetworkError{Text: pipeline.Text{EN: fmt.Sprintf("--delay: %v is not between 0 and 10s", n.Delay), ZH: fmt.Sprintf("--delay：%v 不在 0 到 10s 之间", n.Delay)}}
	case n.Rate != "" && !speed.MatchString(n.Rate):
		return &NetworkError{Text: pipeline.Text{EN: fmt.Sprintf("--rate: %q is no rate; write it like 100mbit", n.Rate), ZH: fmt.Sprintf("--rate：“%s” 不是有效速率；请写成 100mbit 的形式", n.Rate)}}
	case os.Geteuid() != 0:
		return &NetworkError{Text: pipeline.Text{EN: "--hosts makes network namespaces, which only root may; run it as root, or leave --hosts out", ZH: "--hosts 需要创建网络命名空间，只有 root 可以；请以 root 运行，或去掉 --hosts"}}
	}
	tools := []string{"ip"}
	if n.Delay > 0 || n.Rate != "" {
		tools = append(tools, "tc")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return &NetworkError{Err: err, Text: pipeline.Text{
				EN: "--hosts needs the program " + tool + "; on Debian: apt-get install iproute2", ZH: "--hosts 需要程序 " + tool + "；Debian 上请运行 apt-get install iproute2",
			}}
		}
	}
	return nil
}

// cables are the hosts that were made, and the bridge between them and this machine.
type cables struct {
	Network
	pid     int
	name    string       // of the bridge, and the beginning of the hosts' names: a name of an interface has 15 bytes at most
	machine netip.Prefix // this machine's address, with the network's length
	bridge  bool         // it was made
	made    []string     // hosts
}

// cableName and the process id make the name of a bridge; with the host's number behind it, the name of a host.
const cableName = "onsite-h"

var cableForm = regexp.MustCompile(`^` + cableName + `([1-9][0-9]{0,6})(?:-(0|[1-9][0-9]{0,2}))?$`)

// of names what a process makes, and makes nothing.
func (n Network) of(pid int) *cables {
	return &cables{
		Network: n, pid: pid, name: cableName + strconv.Itoa(pid),
		// 198.18.0.0/15 is set apart for measuring networks (RFC 2544): usually nothing else is there.
		machine: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(18 + pid>>8&1), byte(pid), 1}), 24),
	}
}

// lay makes the hosts. What a process left that died before it could clear up is removed first.
func (n Network) lay(ctx context.Context) (*cables, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	sweepCables(ctx)
	c := n.of(os.Getpid())
	if err := c.make(ctx); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

func (c *cables) make(ctx context.Context) error {
	if err := c.free(ctx); err != nil {
		return err
	}
	if err := c.run(ctx, "ip", "link", "add", c.name, "type", "bridge"); err != nil {
		return err
	}
	c.bridge = true
	err := c.run(ctx, "ip", "address", "add", c.machine.String(), "dev", c.name)
	if err == nil {
		err = c.run(ctx, "ip", "link", "set", c.name, "up")
	}
	for i := 0; err == nil && i < c.Hosts; i++ {
		err = c.host(ctx, i)
	}
	return err
}

// free says whether nobody's route leads into the network that is to be made: some programs use these addresses for themselves.
func (c *cables) free(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "ip", "-4", "-j", "route", "show", "table", "all").Output()
	if err != nil {
		return c.failed([]string{"ip", "route", "show"}, nil, err)
	}
	taken, err := clash(out, c.machine)
	if err != nil {
		return c.failed([]string{"ip", "route", "show"}, nil, err)
	}
	if taken == "" {
		return nil
	}
	return &NetworkError{Text: pipeline.Text{
		EN: fmt.Sprintf("--hosts: this machine has a route to %s, which the hosts' network %s would cut off; run it again (each run takes another network), or remove the route", taken, c.machine.Masked()),
		ZH: fmt.Sprintf("--hosts：本机已有到 %s 的路由，会被主机网络 %s 阻断；请重新运行（每次运行使用不同网络），或移除该路由", taken, c.machine.Masked()),
	}}
}

// clash gives the first route that leads into a network, "" if none does. A default route, also one that is written as two halves, leads
// everywhere and does not count.
func clash(routes []byte, network netip.Prefix) (string, error) {
	var all []struct{ Dst string }
	if len(bytes.TrimSpace(routes)) > 0 {
		if err := json.Unmarshal(routes, &all); err != nil {
			return "", fmt.Errorf("read the routes of this machine: %w", err)
		}
	}
	for _, r := range all {
		to, err := netip.ParsePrefix(r.Dst)
		if at, wrong := netip.ParseAddr(r.Dst); wrong == nil {
			to, err = netip.PrefixFrom(at, at.BitLen()), nil
		}
		if err == nil && to.Bits() > 1 && to.Overlaps(network) {
			return r.Dst, nil
		}
	}
	return "", nil
}

// host makes the i-th host and its cable.
func (c *cables) host(ctx context.Context, i int) error {
	space, end := c.space(i), fmt.Sprintf("oh%d.%d", c.pid, i)
	if err := c.run(ctx, "ip", "netns", "add", space); err != nil {
		return err
	}
	c.made = append(c.made, space)
	steps := [][]string{
		{"ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", space},
		{"ip", "link", "set", end, "master", c.name, "up"},
		{"ip", "-n", space, "address", "add", c.address(i).String(), "dev", "eth0"},
		{"ip", "-n", space, "link", "set", "lo", "up"},
		{"ip", "-n", space, "link", "set", "eth0", "up"},
	}
	if shape := c.shape(); shape != nil {
		steps = append(steps, append([]string{"tc", "qdisc", "add", "dev", end, "root"}, shape...), append([]string{"tc", "-n", space, "qdisc", "add", "dev", "eth0", "root"}, shape...))
	}
	for _, step := range steps {
		if err := c.run(ctx, step...); err != nil {
			return err
		}
	}
	return nil
}

// shape is what tc is told about each end of a cable; nil: nothing.
func (c *cables) shape() []string {
	switch {
	case c.Delay > 0 && c.Rate != "":
		return []string{"netem", "delay", fmt.Sprintf("%dus", c.Delay.Microseconds()), "rate", c.Rate}
	case c.Delay > 0:
		return []string{"netem", "delay", fmt.Sprintf("%dus", c.Delay.Microseconds())}
	case c.Rate != "":
		return []string{"tbf", "rate", c.Rate, "burst", "256kb", "latency", "200ms"}
	}
	return nil
}

// space is the name of the i-th host.
func (c *cables) space(i int) string { return fmt.Sprintf("%s-%d", c.name, i) }

// address is that of the i-th host, with the network's length.
func (c *cables) address(i int) netip.Prefix {
	four := c.machine.Addr().As4()
	four[3] = byte(i + 2)
	return netip.PrefixFrom(netip.AddrFrom4(four), c.machine.Bits())
}

// on gives the command that runs a program on the host of the i-th worker.
func (c *cables) on(i int, program string, args []string) (path string, all []string) {
	return "ip", append([]string{"netns", "exec", c.space(i % c.Hosts), program}, args...)
}

func (c *cables) run(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput() //nolint:gosec // our own arguments
	if err == nil {
		return nil
	}
	return c.failed(args, out, err)
}

// failed says what a command's failure means.
func (c *cables) failed(args []string, out []byte, err error) error {
	said := strings.TrimRight(string(bytes.TrimPrefix(out, []byte("Error: "))), ".\n ")
	text := pipeline.Text{
		EN: fmt.Sprintf("no hosts of their own can be made here: %s: %s (%v); it takes root with CAP_NET_ADMIN and CAP_SYS_ADMIN; or leave --hosts out", strings.Join(args, " "), said, err),
		ZH: fmt.Sprintf("无法在此创建独立主机：%s：%s（%v）；需要具备 CAP_NET_ADMIN 和 CAP_SYS_ADMIN 的 root；或去掉 --hosts", strings.Join(args, " "), said, err),
	}
	if args[0] == "tc" && c.Delay > 0 {
		text = pipeline.Text{
			EN: fmt.Sprintf("--delay: the kernel does not delay packets: %s; load its module sch_netem (modprobe sch_netem), or leave --delay out (--rate alone works without it)", said),
			ZH: fmt.Sprintf("--delay：内核无法延迟数据包：%s；请加载模块 sch_netem（modprobe sch_netem），或去掉 --delay（仅用 --rate 则不需要该模块）", said),
		}
	}
	return &NetworkError{Text: text, Err: err}
}

// remove takes away what was made. The processes in it have ended. A cable goes with its host.
func (c *cables) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var errs []error
	for _, space := range c.made {
		errs = append(errs, exec.CommandContext(ctx, "ip", "netns", "delete", space).Run()) //nolint:gosec // our own names
	}
	if c.bridge {
		errs = append(errs, exec.CommandContext(ctx, "ip", "link", "delete", c.name).Run()) //nolint:gosec // our own name
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the hosts %s-*: %w", c.name, err)
	}
	return nil
}

// spaces are the network namespaces of this machine that have a name.
func spaces(ctx context.Context) []string {
	out, err := exec.CommandContext(ctx, "ip", "netns", "list").Output()
	if err != nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 0 {
			names = append(names, f[0])
		}
	}
	return names
}

// sweepCables removes what processes left that are gone: what has the whole form of our names and the address that belongs to it. Everything else is
// somebody's own. What cannot go stays.
func sweepCables(ctx context.Context) {
	for _, space := range spaces(ctx) {
		if at, ok := left(space, true); ok && hasAddress(ctx, at, "-n", space, "-j", "address", "show", "dev", "eth0") {
			_ = exec.CommandContext(ctx, "ip", "netns", "delete", space).Run() //nolint:gosec // the form was looked at
		}
	}
	for _, name := range bridges(ctx) {
		if at, ok := left(name, false); ok && hasAddress(ctx, at, "-j", "address", "show", "dev", name) {
			_ = exec.CommandContext(ctx, "ip", "link", "delete", name).Run() //nolint:gosec // the form was looked at
		}
	}
}

// left says whether a name is that of a host (else of a bridge) of a process that is gone, and which address it has if so.
func left(name string, host bool) (netip.Prefix, bool) {
	m := cableForm.FindStringSubmatch(name)
	if m == nil || (m[2] != "") != host {
		return netip.Prefix{}, false
	}
	pid, err := strconv.Atoi(m[1])
	if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return netip.Prefix{}, false
	}
	c := Network{}.of(pid)
	if !host {
		return c.machine, true
	}
	i, err := strconv.Atoi(m[2])
	return c.address(i), err == nil && i < maxHosts
}

// bridges are the names of this machine's bridges.
func bridges(ctx context.Context) []string {
	out, err := exec.CommandContext(ctx, "ip", "-j", "link", "show", "type", "bridge").Output()
	if err != nil {
		return nil
	}
	var all []struct{ IfName string }
	if json.Unmarshal(out, &all) != nil {
		return nil
	}
	var names []string
	for _, l := range all {
		names = append(names, l.IfName)
	}
	return names
}

// hasAddress asks ip whether an interface has an address.
func hasAddress(ctx context.Context, want netip.Prefix, args ...string) bool {
	out, err := exec.CommandContext(ctx, "ip", args...).Output() //nolint:gosec // our own arguments
	if err != nil {
		return false
	}
	var links []struct {
		Info []struct {
			Local     string
			PrefixLen int
		} `json:"addr_info"`
	}
	if json.Unmarshal(out, &links) != nil {
		return false
	}
	for _, l := range links {
		for _, a := range l.Info {
			if at, err := netip.ParseAddr(a.Local); err == nil && netip.PrefixFrom(at, a.PrefixLen) == want {
				return true
			}
		}
	}
	return false
}
