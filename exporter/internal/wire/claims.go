package wire

// Claims says which names a request uses, and as what. Senders may disagree on
// a family's type, and one may use a name that is part of another's histogram.
// Receivers that parse a request as a whole, as prometheus-edge-hub does, refuse
// all of it then. So what disagrees goes into different requests. Its zero value
// is ready for use.
type Claims struct {
	kinds map[string]Kind
	last  *Shape // claimed already
}

// Allow reports whether a family fits to what is claimed already.
func (c *Claims) Allow(name string, k Kind) bool {
	if got, ok := c.kinds[name]; ok && got != k {
		return false
	}
	var scratch [128]byte
	for _, suffix := range k.Suffixes() {
		part := append(append(scratch[:0], name...), suffix...)
		if got, ok := c.kinds[string(part)]; ok && got != partOf {
			return false
		}
	}
	return true
}

// Add claims the names of a family.
func (c *Claims) Add(name string, k Kind) {
	if _, ok := c.kinds[name]; ok {
		return
	}
	if c.kinds == nil {
		c.kinds = map[string]Kind{}
	}
	c.kinds[name] = k
	for _, suffix := range k.Suffixes() {
		c.kinds[name+suffix] = partOf
	}
}

// AllowAll reports whether every family of a body fits.
func (c *Claims) AllowAll(s *Shape) bool {
	if s.equal(c.last) {
		return true
	}
	for _, f := range s.Families {
		if !c.Allow(f.Name, f.Kind) {
			return false
		}
	}
	return true
}

// AddAll claims the names of every family of a body.
func (c *Claims) AddAll(s *Shape) {
	if s.equal(c.last) {
		return
	}
	c.last = s
	for _, f := range s.Families {
		c.Add(f.Name, f.Kind)
	}
}

// Reset gives up all claims.
func (c *Claims) Reset() {
	clear(c.kinds)
	c.last = nil
}
