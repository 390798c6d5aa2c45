// Package bubble has what tests in virtual time, those of testing/synctest, share.
package bubble

import (
	"testing/synctest"
	"time"
)

// Pass lets the bubble's time pass, and then waits for what the other goroutines do at that instant. After
// time.Sleep alone the test goes on beside them.
func Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
