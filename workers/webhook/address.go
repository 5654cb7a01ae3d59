package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"onsite/pipeline"
	"onsite/results"
)

// AddressError says that a receiver's address is one that webhooks are not sent to.
type AddressError struct {
	Address netip.Addr
	Why     pipeline.Text // what the address is
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("the receiver's address %s is %s: webhooks are not sent there", e.Address, e.Why.EN)
}

// why is the same for people.
func (e *AddressError) why() *results.Why {
	return &results.Why{Rule: ruleAddress, Text: pipeline.Text{EN: e.Error(),
		ZH: fmt.Sprintf("接收方地址 %s %s，不会向其发送", e.Address, e.Why.ZH)}}
}

var (
	cloudsOwn  = pipeline.Text{EN: "a cloud's metadata service", ZH: "是云平台的元数据服务"}
	noMachines = pipeline.Text{EN: "no single machine's", ZH: "不属于单台机器"}
	notPublic  = pipeline.Text{EN: "private, of this machine or of this network", ZH: "是本机、本网络或其他私有地址"}
)

// metadata is where clouds give their machines' credentials away: never a receiver, whatever a tenant allows.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:ec2::254"),
}

// special are the ranges of the IANA registries of special-purpose addresses that are not reachable from the Internet, or that lead to
// another address which is not looked at here (NAT64, 6to4, Teredo).
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// unicast is the part of IPv6 that is given out for the Internet; everything else is special.
var unicast = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// allowed says whether webhooks go to an address; private allows those that the Internet does not reach.
func allowed(a netip.Addr, private bool) error {
	a = a.Unmap().WithZone("")
	for _, m := range metadata {
		if a == m {
			return &AddressError{Address: a, Why: cloudsOwn}
		}
	}
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return &AddressError{Address: a, Why: noMachines}
	}
	if private {
		return nil
	}
	if a.Is6() && !unicast.Contains(a) {
		return &AddressError{Address: a, Why: notPublic}
	}
	for _, p := range special {
		if p.Contains(a) {
			return &AddressError{Address: a, Why: notPublic}
		}
	}
	return nil
}

// dial makes connections only to allowed addresses. The check sees the address itself, after the name was resolved and before the first
// packet: a name that resolves to another address the second time gains nothing.
func dial(private bool, timeout time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("read the receiver's address: %w", err)
		}
		return allowed(to.Addr(), private)
	}}
	return d.DialContext
}
