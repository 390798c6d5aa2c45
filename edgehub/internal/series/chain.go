package series

// Chain follows the lines of a push and guesses the next one. Senders repeat
// themselves: behind a series comes mostly what came behind it last time. TYPE and
// HELP lines are the same for many senders, whose series are not; so what
// series comes behind such a line is told by the series before it.
//
// It is a value, so that keeping it costs the garbage collector nothing.
type Chain struct {
	series  *Spelling // of the last sample, or nil where it is not known
	comment *Spelling // the TYPE or HELP line that came since, or nil
}

// Guess returns the number of the spelling that is expected next, or 0.
func (c Chain) Guess() uint32 {
	last := c.comment
	if last == nil {
		last = c.series
	}
	if last != nil {
		if next := last.comment.Load(); next != 0 {
			return next
		}
	}
	return c.NextSeries()
}

// NextSeries returns the number of the series that is expected next, or 0.
func (c Chain) NextSeries() uint32 {
	if c.series == nil {
		return 0
	}
	return c.series.series.Load()
}

// Follow is the chain behind a line's spelling. Behind a line that the table does not know, or does
// not remember, the chain begins anew.
func (c Chain) Follow(current *Spelling) Chain {
	if current.ID == None {
		return Chain{c.series, current}
	}
	return Chain{current, nil}
}

// Learn notes that a line's spelling came here, which was not what was guessed.
func (c Chain) Learn(number uint32, current *Spelling) {
	switch {
	case current.ID == None && c.comment != nil:
		c.comment.comment.Store(number)
	case c.series == nil:
	case current.ID == None:
		c.series.comment.Store(number)
	default:
		c.series.series.Store(number)
		if c.comment == nil {
			c.series.comment.Store(0)
		}
	}
}
