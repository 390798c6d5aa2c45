package exporter

import (
	"context"

	"github.com/hubring/hubring/exporter/members"
)

// Membership says who the hubs are. members.DNS and members.File do; implement it
// for another source.
//
// Hubs returns all of them, in any order. It is asked again and again, by one
// goroutine at a time, and must return soon after ctx ends. What it returns is
// copied at once. An error, no hub at all, or hubs of which no ring can be built
// leave the hubs as they are, so it need not cache its last good answer; nor
// need it tell whether a hub is up, which the exporter finds out by itself.
//
// It may have two methods more. New asks Validate() error whether it is fit to be
// asked. The status page shows what Describe() (source, detail string) returns; of one
// that does not say it only the type, since what it has in it may be secret.
type Membership interface {
	Hubs(ctx context.Context) ([]Hub, error)
}

var (
	_ Membership = members.DNS{}
	_ Membership = members.File{}
)
