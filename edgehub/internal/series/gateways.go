package series

import (
	"fmt"
	"strings"
)

// member is a gateway in a table, whose lock guards it. It gets a number when a push
// brings its first series and keeps it until it is forgotten; then others may have it.
type member struct {
	name   string // empty for all series of no gateway
	plain  bool   // a text of the name has no escapes
	number uint32 // from 1
	series int    // in the table, but for own
	own    ID     // the series that the hub itself writes of it, or None
	coming int    // of the push that is being taken in
	fresh  bool   // there for a push that may still be refused
}

// member returns the gateway of that name, a new one with a number if need be.
func (t *Table) member(name []byte) *member {
	m, ok := t.members[string(name)]
	if !ok {
		m = newMember(string(name))
		m.fresh = true
		t.members[m.name] = m
		t.enlist(m)
	}
	return m
}

func newMember(name string) *member {
	return &member{name: name, plain: !strings.ContainsAny(name, `"\`), own: None}
}

// enlist gives a gateway a number that no other has.
func (t *Table) enlist(m *member) {
	if n := len(t.vacant); n > 0 {
		m.number = t.vacant[n-1]
		t.vacant = t.vacant[:n-1]
		t.enlisted[m.number-1] = m
		return
	}
	t.enlisted = append(t.enlisted, m)
	m.number = uint32(len(t.enlisted))
}

// forget takes out a gateway.
func (t *Table) forget(m *member) {
	delete(t.members, m.name)
	t.enlisted[m.number-1] = nil
	t.vacant = append(t.vacant, m.number)
}

// forgetNewMembers takes out the gateways that are there for a push that was
// refused.
func (t *Table) forgetNewMembers(names *Newcomers) {
	for i := range names.List {
		n := &names.List[i]
		if m := n.owner; m != nil && m.fresh && t.members[m.name] == m {
			t.forget(m)
		}
		n.owner = nil
	}
}

// Gateway is what a table knows of a gateway.
type Gateway struct {
	Name   string
	Number uint32
	Series int
}

// Gateways copies what the table knows of the gateways with numbers in a range, but for
// the one without a name. It returns false behind the last. There may be a hundred
// thousand, and pushes need the lock, too: ask for some at a time.
func (t *Table) Gateways(dst []Gateway, from, to int) ([]Gateway, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if from >= len(t.enlisted) {
		return dst, false
	}
	for _, m := range t.enlisted[from:min(to, len(t.enlisted))] {
		if m != nil && m.name != "" && m.series > 0 {
			dst = append(dst, Gateway{m.name, m.number, m.series})
		}
	}
	return dst, true
}

// OfNoGateway is how many series belong to no gateway.
func (t *Table) OfNoGateway() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.members[""]; m != nil {
		return m.series
	}
	return 0
}

// GatewayName is the name of the gateway with a number, or "".
func (t *Table) GatewayName(number uint32) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := int(number) - 1; i >= 0 && i < len(t.enlisted) && t.enlisted[i] != nil {
		return t.enlisted[i].name
	}
	return ""
}

// Called is how a message names a gateway.
func Called(name string) string {
	if name == "" {
		return "what belongs to no gateway"
	}
	return fmt.Sprintf("gateway %.60q", name)
}
