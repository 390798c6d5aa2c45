package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Who stands in for others has a part by the weights that hold now.
func TestStandInFollowsTheWeights(t *testing.T) {
	r, all := crowded(t, 3, 0, nil)
	hubs, ring := hubsNamed(t, 3)
	hubs[0].Weight = 3
	r.SetHubs(hubs, ring, time.Now())
	assert.Zero(t, r.standInLocked(all[0]), "all live")
	all[2].down = true
	assert.InDelta(t, 0.75, r.standInLocked(all[0]), 1e-9)
	assert.InDelta(t, 0.25, r.standInLocked(all[1]), 1e-9)
}
