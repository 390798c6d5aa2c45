package network

import (
	"fmt"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Interface is a pod's part of the network.
type Interface struct {
	addr      netip.Addr
	namespace netns.NsHandle
	cable     netlink.Link // the node's end
}

// Addr returns the pod's address.
func (i *Interface) Addr() netip.Addr { return i.addr }

// Do runs f in the pod's network namespace. A process that f starts is in it, too;
// goroutines that it starts are not.
func (i *Interface) Do(f func() error) error {
	runtime.LockOSThread()
	own, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("find the own network namespace: %w", err)
	}
	defer func() { _ = own.Close() }()
	if err := netns.Set(i.namespace); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the network namespace of %s: %w", i.addr, err)
	}
	result := f()
	if err := netns.Set(own); err != nil {
		// The thread stays locked, so that it ends with the goroutine and nobody else gets it.
		return fmt.Errorf("leave the network namespace of %s: %w", i.addr, err)
	}
	runtime.UnlockOSThread()
	return result
}

// Detach pulls the cable: nobody reaches the pod any more. The namespace goes when
// its processes have ended. It may be called once.
func (i *Interface) Detach() error {
	if err := netlink.LinkDel(i.cable); err != nil {
		return fmt.Errorf("take %s off the network: %w", i.addr, err)
	}
	if err := i.namespace.Close(); err != nil {
		return fmt.Errorf("let go of the network namespace of %s: %w", i.addr, err)
	}
	return nil
}

// newNamespace makes a network namespace on a thread that ends with it: the thread is
// never unlocked.
func newNamespace() (netns.NsHandle, error) {
	type result struct {
		handle netns.NsHandle
		err    error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread()
		handle, err := netns.New()
		made <- result{handle, err}
	}()
	r := <-made
	return r.handle, r.err
}

// Mute drops all that the pod sends, as a machine that lost its power does without anybody being told:
// what is sent to it is never answered.
func (i *Interface) Mute() error {
	in, err := netlink.NewHandleAt(i.namespace)
	if err != nil {
		return fmt.Errorf("mute %s: %w", i.addr, err)
	}
	defer in.Close()
	routes, err := in.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("find the routes of %s: %w", i.addr, err)
	}
	for _, route := range routes {
		if err := in.RouteDel(&route); err != nil {
			return fmt.Errorf("mute %s: %w", i.addr, err)
		}
		hole := netlink.Route{Dst: route.Dst, Type: unix.RTN_BLACKHOLE}
		if err := in.RouteAdd(&hole); err != nil {
			return fmt.Errorf("mute %s: %w", i.addr, err)
		}
	}
	return nil
}
