package edgehub

// cursor is how far one scraper has read. The log's lock guards its position.
type cursor struct {
	name     string
	position uint64
}

// advance moves a cursor to a position, never back, and drops the segments that
// every cursor has passed. It returns how many samples the cursor passed.
func (l *log) advance(c *cursor, to uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to <= c.position {
		return 0
	}
	passed := to - c.position
	c.position = to
	if drop := (l.floorLocked() - l.first) / segmentSize; drop > 0 {
		clear(l.segments[:drop])
		l.segments = l.segments[drop:]
		l.first += drop * segmentSize
	}
	return passed
}
