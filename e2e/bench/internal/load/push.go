package load

import "strconv"

const (
	stampDigits   = 13 // milliseconds since the epoch, until the year 2286
	valueDigits   = 3  // the last ones, which change
	gatewayDigits = 7
)

// Push is one prepared request. It is for one goroutine at a time.
type Push struct {
	Samples int

	request  []byte // header and body
	head     int    // length of the header
	count    int    // of gateways
	stamps   []int  // where timestamps stand in the body
	values   []int  // where the last digits of the values stand
	gateways []patch
	track    Track
	write    func(ms int64) // writes the request anew; nil if it is written over in place
	ahead    [][]byte       // requests that were written anew and come next
}

// patch is a place in the body that names the gateway first+number.
type patch struct{ at, number int }

// Body is what the push holds now.
func (p *Push) Body() []byte { return p.request[p.head:] }

// Stamp gives every sample a time, in milliseconds since the epoch, and another
// value than a millisecond before.
func (p *Push) Stamp(ms int64) {
	if p.write != nil {
		p.write(ms)
		return
	}
	body := p.Body()
	var digits [stampDigits]byte
	strconv.AppendInt(digits[:0], ms, 10)
	for _, at := range p.stamps {
		copy(body[at:at+stampDigits], digits[:])
	}
	for i, at := range p.values {
		n := (int(ms) + i) % 1000
		body[at], body[at+1], body[at+2] = '0'+byte(n/100), '0'+byte(n/10%10), '0'+byte(n%10)
	}
}

// prepare writes a request that comes next.
func (p *Push) prepare(ms int64) {
	p.write(ms)
	p.ahead = append(p.ahead, p.request)
	p.request = nil
}

// takeAhead makes the request the next one of those that were prepared, if there is one.
func (p *Push) takeAhead() bool {
	if len(p.ahead) == 0 {
		return false
	}
	p.request, p.ahead = p.ahead[0], p.ahead[1:]
	return true
}

// Renumber gives the push other gateways: those from first on.
func (p *Push) Renumber(first int) {
	body := p.Body()
	for _, g := range p.gateways {
		n := first + g.number
		for at := g.at + gatewayDigits - 1; at >= g.at; at-- {
			body[at] = '0' + byte(n%10)
			n /= 10
		}
	}
}
