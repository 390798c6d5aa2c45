package series

// Chain follows the lines of a push and guesses the next one. Senders repeat
// themselves: behind a series comes mostly what came behind it last time. TYPE and
// HELP lines are the same for many senders, whose series are not; so what
// series comes behind such a line is told by the series before it.
type Chain struct {
	series  *Spelling // of the last sample, or nil where it is not known
	comment *Spelling // the TYPE or HELP line that came since, or nil
}

// Guess returns the number of the spelling that is expected next, or 0.
func (c *Chain) Guess() uint32 {
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
func (c *Chain) NextSeries() uint32 {
	if c.series == nil {
		return 0
	}
	return c.series.series.Load()
}

// Broken goes on behind a line that the table does not know, or does not
// remember.
func (c *Chain) Broken() { c.series, c.comment = nil, nil }

// Follow goes on to a line's spelling. If it is not what was guessed, the chain
// learns that it came here.
func (c *Chain) Follow(number uint32, current *Spelling, guessed bool) {
	if current.ID == None {
		if !guessed {
			c.learnComment(number)
		}
		c.comment = current
		return
	}
	if !guessed && c.series != nil {
		c.series.series.Store(number)
		if c.comment == nil {
			c.series.comment.Store(0)
		}
	}
	c.series, c.comment = current, nil
}

func (c *Chain) learnComment(number uint32) {
	if c.comment != nil {
		c.comment.comment.Store(number)
	} else if c.series != nil {
		c.series.comment.Store(number)
	}
}
