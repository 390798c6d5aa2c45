package wire

// Body is one gateway's encoded samples: the unit that is queued, sent, retried and
// rerouted. It is not changed between NewBody and Release.
type Body struct {
	Key     string // of the ring; "" for no gateway
	Text    []byte // its samples in the text format, family by family
	Ends    []int  // where in Text each family ends
	Shape   *Shape // which families they are
	Samples int
	// Composite says that a summary or histogram is in it, which is more than
	// one line to a parser.
	Composite bool
	Oldest    int64 // the smallest timestamp of a sample, in ms
}

// NewBody returns a body with copies of text and ends. The caller sets what else is
// to be said about the samples.
func NewBody(key string, text []byte, ends []int, of *Shape) *Body {
	b := take(len(text))
	b.Key, b.Shape = key, of
	b.Text = append(b.Text[:0], text...)
	if n := len(ends); cap(b.Ends) < n || cap(b.Ends) > n+n/4+4 {
		b.Ends = make([]int, 0, n)
	}
	b.Ends = append(b.Ends[:0], ends...)
	return b
}

// endBytes is what the end of a family takes in memory.
const endBytes = 8

// Memory is what the body takes until it is released, in bytes. A shape is counted
// for each body, as if no other had it; the struct is not.
func (b *Body) Memory() int { return len(b.Key) + cap(b.Text) + endBytes*cap(b.Ends) + b.Shape.bytes }

// Length is how long a request with this body alone is, in bytes. One of several is
// no longer than their sum.
func (b *Body) Length() int { return len(b.Text) + b.Shape.text }

// PoisonReleased makes what is released unreadable, so that tests see who reads it
// still. It is set before there are bodies.
var PoisonReleased = false

// Release gives the memory to the next bodies. It is called once, when nobody reads
// the body any more.
func (b *Body) Release() {
	if PoisonReleased {
		for i := range b.Text {
			b.Text[i] = '?'
		}
		clear(b.Ends)
	}
	*b = Body{Text: b.Text[:0], Ends: b.Ends[:0]}
	give(b)
}
