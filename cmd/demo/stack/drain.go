package main

import "time"

const (
	progressEvery = 2 * time.Second
	pollEvery     = 20 * time.Millisecond
	drainRounds   = 6 // intervals that a hub may take to be scraped empty
	drainSlack    = 20 * time.Second
)

// waitFor returns what the channel gets and says every two seconds that it
// still waits.
func (d *demo) waitFor(what string, done <-chan error) error {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			d.event("waiting for %s", what)
		}
	}
}

// drain waits until the shards hold what the hubs had: a hub has nothing left when its
// shard has said that all of it is stored.
func (d *demo) drain() {
	deadline := time.Now().Add(drainRounds*d.scrapeInterval() + drainSlack)
	d.event("waiting for the last scrapes")
	empty := d.poll(deadline, func() (bool, string) {
		behind := d.figures().behind
		return behind == 0, thousands(behind) + " samples wait in the hubs"
	})
	if !empty {
		d.event("gave up waiting: %s samples are still in the hubs and will count as lost", thousands(d.figures().behind))
	}
}

// poll asks until the answer is yes or the deadline has passed, and says what
// is going on every two seconds.
func (d *demo) poll(deadline time.Time, done func() (bool, string)) bool {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	said := time.Now()
	for {
		ok, state := done()
		if ok {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		if time.Since(said) >= progressEvery {
			d.event("%s", state)
			said = time.Now()
		}
		<-ticker.C
	}
}
