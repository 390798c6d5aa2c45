package network

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
)

// Network is a bridge that pods are attached to. It is safe for concurrent use.
type Network struct {
	bridge netlink.Link
	prefix netip.Prefix
	host   netip.Addr // this process's

	mu   sync.Mutex
	last netip.Addr // the address that was given out last; none is given twice
}

// New makes the network. The first address of the prefix is the node's own.
func New(prefix netip.Prefix) (*Network, error) {
	host := prefix.Masked().Addr().Next()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cluster"}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("make the pods' bridge: %w", err)
	}
	if err := address(netlink.AddrAdd, bridge, netip.PrefixFrom(host, prefix.Bits())); err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("start the pods' bridge: %w", err)
	}
	return &Network{bridge: bridge, prefix: prefix, host: host, last: host}, nil
}

// Host returns the node's own address, which pods reach this process by.
func (n *Network) Host() netip.Addr { return n.host }

// Attach makes a pod's part of the network, with an address that no pod had before.
func (n *Network) Attach() (*Interface, error) {
	n.mu.Lock()
	n.last = n.last.Next()
	addr := n.last
	n.mu.Unlock()

	namespace, err := newNamespace()
	if err != nil {
		return nil, fmt.Errorf("make a pod's network namespace: %w", err)
	}
	i := &Interface{addr: addr, namespace: namespace}
	if err := n.plug(i); err != nil {
		return nil, fmt.Errorf("attach %s to the network: %w", addr, err)
	}
	return i, nil
}

// plug makes the cable between the bridge and the pod's eth0.
func (n *Network) plug(i *Interface) error {
	octets := i.addr.As4()
	i.cable = &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: fmt.Sprintf("pod%d-%d", octets[2], octets[3]), MasterIndex: n.bridge.Attrs().Index},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(int(i.namespace)),
	}
	if err := netlink.LinkAdd(i.cable); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(i.cable); err != nil {
		return err
	}
	in, err := netlink.NewHandleAt(i.namespace)
	if err != nil {
		return err
	}
	defer in.Close()
	for _, name := range []string{"lo", "eth0"} {
		link, err := in.LinkByName(name)
		if err != nil {
			return err
		}
		if name == "eth0" {
			if err := address(in.AddrAdd, link, netip.PrefixFrom(i.addr, n.prefix.Bits())); err != nil {
				return err
			}
		}
		if err := in.LinkSetUp(link); err != nil {
			return err
		}
	}
	return nil
}

func address(add func(netlink.Link, *netlink.Addr) error, to netlink.Link, p netip.Prefix) error {
	ip := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
	if err := add(to, &netlink.Addr{IPNet: ip}); err != nil {
		return fmt.Errorf("give %s the address %s: %w", to.Attrs().Name, p, err)
	}
	return nil
}
