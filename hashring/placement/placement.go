// Package placement is how processes agree on what hashring's Assign has moved: one of
// them, such as hubctl place, knows the gateways and writes a placement, and all others
// read it and build the same ring of it.
//
//	loads of all gateways ──Assign──► ring ──Of──► Placement ──Text──► file
//	file ──Parse──► Placement ──Ring(base ring)──► the same ring
//
// A placement is small: it names the keys that are not with their owners, a few in a
// hundred. Where the hubs are others than those that it was made for, what it says of hubs
// that are still there counts, and all other keys are with their owners. So controllers
// agree as long as they have the same hubs and the same file, and a hub that is added
// or gone moves no more than it does without a placement.
package placement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hubring/hubring/hashring"
)

const (
	// format is the version of the text.
	format = 1
	// MaxBytes bounds the text: some 500,000 keys that moved.
	MaxBytes = 32 << 20
)

// Placement says which keys are not with their owners. It is not changed once it is made.
type Placement struct {
	// Serial is one more than that of the placement before.
	Serial uint64
	Made   time.Time
	// Base says how the ring was made that was assigned, as hashring/method spells it. It is for
	// hubctl and for people: the fingerprint is what counts.
	Base string
	// Fingerprint is that of the ring, if it is of the hubs below.
	Fingerprint uint64
	// Hubs are those that it was made for, sorted by name.
	Hubs []hashring.Node
	// Keys and Series are how many it was made of. Whoever makes the next one sees by them
	// whether he knows the whole fleet.
	Keys, Series int
	// Homes are the hubs of those keys that are not with their owners. The samples of no
	// gateway have the empty key.
	Homes map[string]string
}

// Of is the placement that a ring has which Assign made of these loads. What it says beside that is
// still to be set.
func Of(ring *hashring.Ring, loads []hashring.Load) *Placement {
	p := &Placement{Fingerprint: ring.Fingerprint(), Hubs: ring.Nodes(), Keys: len(loads), Homes: ring.Placed()}
	for _, l := range loads {
		p.Series += l.Series
	}
	return p
}

// Same reports whether two placements move the same keys to the same homes, and are the same one.
func (p *Placement) Same(other *Placement) bool {
	return p == other || p.Serial == other.Serial && p.Fingerprint == other.Fingerprint &&
		slices.Equal(p.Hubs, other.Hubs) && maps.Equal(p.Homes, other.Homes)
}

// Ring puts the keys of the placement to their homes on a ring of any hubs. If these are the
// hubs that it was made for, and the ring that comes of it is another one than it was made
// of, that is an error: the base is another one, or the file was changed by hand.
func (p *Placement) Ring(base *hashring.Ring) (*hashring.Ring, error) {
	nodes := base.Nodes()
	there := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		there[n.Name] = true
	}
	homes := make(map[string]string, len(p.Homes))
	for key, home := range p.Homes {
		if there[home] {
			homes[key] = home
		}
	}
	ring, err := base.Place(homes)
	if err != nil {
		return nil, err
	}
	if slices.Equal(nodes, p.Hubs) && ring.Fingerprint() != p.Fingerprint {
		return nil, fmt.Errorf("placement %d gives a ring with fingerprint %016x and says %016x: it was made of another ring (%s), or changed by hand",
			p.Serial, ring.Fingerprint(), p.Fingerprint, p.Base)
	}
	return ring, nil
}

// text is the form in a file.
type text struct {
	Format      int               `json:"format"`
	Serial      uint64            `json:"serial"`
	Made        time.Time         `json:"made"`
	Base        string            `json:"base"`
	Fingerprint string            `json:"fingerprint"`
	Keys        int               `json:"keys"`
	Series      int               `json:"series"`
	Hubs        []hub             `json:"hubs"`
	Homes       map[string]string `json:"homes"`
}

type hub struct {
	Name   string  `json:"name"`
	Weight float64 `json:"weight"`
}

// Text is the placement as JSON, the same for the same placement.
func (p *Placement) Text() []byte {
	t := text{
		Format: format, Serial: p.Serial, Made: p.Made.UTC(), Base: p.Base, Fingerprint: fmt.Sprintf("%016x", p.Fingerprint),
		Keys: p.Keys, Series: p.Series, Homes: p.Homes,
	}
	for _, n := range p.Hubs {
		t.Hubs = append(t.Hubs, hub{n.Name, n.Weight})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(t); err != nil {
		panic(err) // a time beyond the year 9999
	}
	return b.Bytes()
}

// ErrInvalid is wrapped by what Parse returns.
var ErrInvalid = errors.New("no placement")

// Parse reads what Text wrote. Every fault is one of the whole placement, so the first is enough.
func Parse(content []byte) (*Placement, error) {
	p, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return p, nil
}

func parse(content []byte) (*Placement, error) {
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("it has more than %d bytes", MaxBytes)
	}
	var t text
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind it")
	}
	fingerprint, err := strconv.ParseUint(t.Fingerprint, 16, 64)
	switch {
	case t.Format != format:
		return nil, fmt.Errorf("its format is %d, this reads %d", t.Format, format)
	case err != nil:
		return nil, fmt.Errorf("its fingerprint is %.20q, no hexadecimal number", t.Fingerprint)
	case len(t.Hubs) == 0 || len(t.Hubs) > hashring.MaxNodes:
		return nil, fmt.Errorf("it has %d hubs, it must have 1 to %d", len(t.Hubs), hashring.MaxNodes)
	}
	p := &Placement{Serial: t.Serial, Made: t.Made, Base: t.Base, Fingerprint: fingerprint, Keys: t.Keys, Series: t.Series, Homes: t.Homes}
	for _, h := range t.Hubs {
		p.Hubs = append(p.Hubs, hashring.Node{Name: h.Name, Weight: h.Weight})
	}
	slices.SortFunc(p.Hubs, func(a, b hashring.Node) int { return strings.Compare(a.Name, b.Name) })
	for i, n := range p.Hubs {
		if i > 0 && n.Name == p.Hubs[i-1].Name {
			return nil, fmt.Errorf("hub %.100q is there twice", n.Name)
		}
	}
	for key, home := range p.Homes {
		if _, ok := slices.BinarySearchFunc(p.Hubs, home, func(n hashring.Node, name string) int { return strings.Compare(n.Name, name) }); !ok {
			return nil, fmt.Errorf("the home of %.100q is %.100q, which is none of its hubs", key, home)
		}
	}
	return p, nil
}
