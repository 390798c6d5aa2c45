package edgehub

// chain follows the lines of a push and guesses the next one. Senders repeat
// themselves: behind a series comes mostly what came behind it last time. TYPE and
// HELP lines are the same for many senders, whose series are not; so what
// series comes behind such a line is told by the series before it.
type chain struct {
	series  *spelling // of the last sample, or nil where it is not known
	comment *spelling // the TYPE or HELP line that came since, or nil
}

// guess returns the spelling that is expected next, or nil.
func (c *chain) guess() *spelling {
	if c.comment != nil {
		if next := c.comment.comment.Load(); next != nil {
			return next
		}
	} else if c.series != nil {
		if next := c.series.comment.Load(); next != nil {
			return next
		}
	}
	return c.nextSeries()
}

// nextSeries returns the series that is expected next, or nil.
func (c *chain) nextSeries() *spelling {
	if c.series == nil {
		return nil
	}
	return c.series.series.Load()
}

// broken goes on behind a line that the table does not know, or does not
// remember.
func (c *chain) broken() { c.series, c.comment = nil, nil }

// follow goes on to the line's spelling. If it is not what was guessed, the chain
// learns that it came here.
func (c *chain) follow(current *spelling, guessed bool) {
	if current.id == noSeries {
		if !guessed {
			c.learnComment(current)
		}
		c.comment = current
		return
	}
	if !guessed && c.series != nil {
		c.series.series.Store(current)
		if c.comment == nil {
			c.series.comment.Store(nil)
		}
	}
	c.series, c.comment = current, nil
}

func (c *chain) learnComment(current *spelling) {
	if c.comment != nil {
		c.comment.comment.Store(current)
	} else if c.series != nil {
		c.series.comment.Store(current)
	}
}
