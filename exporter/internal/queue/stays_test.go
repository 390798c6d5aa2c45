package queue

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What is remembered is bounded, in gateways and in ends.
func TestEndsAreBounded(t *testing.T) {
	r, all := crowded(t, 2, 0, nil)
	from, to := all[0], all[1]
	from.Notices.manned = true
	r.mu.Lock()
	key := func(i int) string { return fmt.Sprintf("gateway-%092d", i) }
	const most = maxStayBytes / (100 + stayOverhead)
	for i := range 2 * most {
		r.arrivedLocked(from, parcelFrom(key(i), 5), time.Now())
	}
	assert.Len(t, r.ends.stays, most)
	for id := range r.ends.stays {
		r.arrivedLocked(to, parcelFrom(id, 6), time.Now())
	}
	assert.Equal(t, most, r.ends.waiting)
	r.arrivedLocked(from, parcelFrom(key(3*most), 7), time.Now())
	assert.Nil(t, r.ends.stays[key(3*most)], "those with an end are not forgotten")

	for id := range r.ends.stays {
		for i := range 3 {
			r.openEndLocked(r.ends.stays[id], &Notices{hub: Hub{Name: strconv.Itoa(i)}})
		}
	}
	assert.Equal(t, maxEnds, r.ends.known)
	assert.EqualValues(t, 4*most-maxEnds, r.ends.fates[EndDropped])
	r.mu.Unlock()
	holds := 0
	for r.giveUpSomeEnds() {
		holds++
	}
	assert.Zero(t, r.ends.waiting)
	assert.Greater(t, holds, 10, "a few at a time")
}
