package exporter

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hubring/hubring/hashring"
)

// How a Membership is asked.
const (
	// DefaultMembersInterval is the time between two answers.
	DefaultMembersInterval = 10 * time.Second
	// DefaultMembersHold is how long a hub that the answers no longer name is
	// kept.
	DefaultMembersHold = 60 * time.Second

	// membersTimeout bounds one lookup.
	membersTimeout = 5 * time.Second
)

// Membership says who the hubs are. DNS and File are memberships; implement it
// for another source.
//
// Hubs returns all of them, in any order. It is asked again and again, by one
// goroutine at a time, and must return soon after ctx ends. What it returns is
// copied at once. An error, no hub at all, or hubs of which no ring can be built
// leave the hubs as they are, so it need not cache its last good answer; nor
// need it tell whether a hub is up, which the exporter finds out by itself.
type Membership interface {
	Hubs(ctx context.Context) ([]Hub, error)
}

var (
	_ Membership = DNS{}
	_ Membership = File{}
)

var errNoHubs = errors.New("the answer names no hub")

// Weights that hashring takes, beside 0.
const minWeight, maxWeight = 0.001, 1000

// checkedHubs returns the hubs with their defaults filled in, sorted by name, or
// says why no ring can be built of them. Unlike hashring.New, which finds the
// same, it builds none: it is asked at every lookup.
func checkedHubs(hubs []Hub) ([]Hub, error) {
	if len(hubs) == 0 {
		return nil, errNoHubs
	}
	if len(hubs) > hashring.MaxNodes {
		return nil, fmt.Errorf("%d hubs are named, at most %d are supported", len(hubs), hashring.MaxNodes)
	}
	var found problems
	checked := make([]Hub, len(hubs))
	seen := make(map[string]bool, len(hubs))
	for i, h := range hubs {
		h = hubWithDefaults(h)
		checked[i] = h
		if err := validateHub(h); err != nil {
			found.add("hub %.100q: %w", h.Name, err)
		} else if seen[h.Name] {
			found.add("hub %q is named twice", h.Name)
		}
		seen[h.Name] = true
	}
	if err := found.join(); err != nil {
		return nil, err
	}
	slices.SortFunc(checked, func(a, b Hub) int { return strings.Compare(a.Name, b.Name) })
	return checked, nil
}

// hubWithDefaults returns h as it is compared and used.
func hubWithDefaults(h Hub) Hub {
	h.URL = strings.TrimRight(h.URL, "/")
	if h.Name == "" {
		if u, err := url.Parse(h.URL); err == nil {
			h.Name = u.Host
		}
	}
	if h.Weight == 0 {
		h.Weight = 1
	}
	return h
}

// validateHub accepts a hub that has its defaults.
func validateHub(h Hub) error {
	switch err := validateURL(h.URL); {
	case err != nil:
		return err
	case h.Name == "":
		return errors.New("it has no name")
	case !utf8.ValidString(h.Name): // it is a label's value
		return errors.New("the name is not valid UTF-8")
	case len(h.Name) > hashring.MaxNameBytes:
		return fmt.Errorf("the name has %d bytes, at most %d are allowed", len(h.Name), hashring.MaxNameBytes)
	case !(h.Weight >= minWeight && h.Weight <= maxWeight): // so that NaN is refused
		return fmt.Errorf("weight %g: it must be between %g and %d, or 0 for 1", h.Weight, minWeight, maxWeight)
	}
	return nil
}

// problems are the faults of an answer. An answer of thousands of hubs may have
// as many; the first few tell what is wrong.
type problems struct {
	first []error
	more  int
}

const maxProblems = 10

func (p *problems) add(format string, args ...any) {
	if len(p.first) == maxProblems {
		p.more++
		return
	}
	p.first = append(p.first, fmt.Errorf(format, args...))
}

// join returns nil if there are none.
func (p *problems) join() error {
	if p.more > 0 {
		return errors.Join(append(p.first, fmt.Errorf("and %d more", p.more))...)
	}
	return errors.Join(p.first...)
}
