package edgehub

import "fmt"

// gateway is what a hub knows of one gateway. The one without a name stands for
// all series that have none.
type gateway struct {
	name string

	// The log's lock guards what follows.
	held     int      // samples in the log's segments
	arriving int      // samples of the push that is being appended
	last     *segment // the newest that holds samples of it, or nil
	lastRun  int      // its place in last.runs
	pushed   int64    // when a push of it was last taken in, in milliseconds
}

// member is a gateway in a table, whose lock guards it. It gets a number with
// its first series.
type member struct {
	*gateway
	number uint32 // in the table, from 1
	series int    // in the table
	coming int    // of the push that is being taken in
}

// run is a stretch of samples of one gateway.
type run struct {
	gateway *gateway
	samples int
}

// addRun counts so many more samples of a gateway.
func addRun(runs []run, g *gateway, samples int) []run {
	if n := len(runs); n > 0 && runs[n-1].gateway == g {
		runs[n-1].samples += samples
		return runs
	}
	return append(runs, run{g, samples})
}

// The last part of the log's room, one of reserved, is kept for gateways that hold
// no more than fairShare times their even share of the room. So one that floods
// stops short of shutting the others out, and a hub that is simply full, of one
// gateway or of a thousand like ones, keeps nobody from the rest.
const (
	reserved  = 8
	fairShare = 2
)

// fair checks, when room is scarce, that none of the runs' gateways takes what
// is kept for the others. passed says how many of a gateway's held samples every
// scraper has, more or less.
func fair(runs []run, limit, active int, passed func(*gateway) int) error {
	for _, r := range runs {
		if r.gateway.held+r.gateway.arriving == 0 {
			active++
		}
		r.gateway.arriving += r.samples
	}
	share := fairShare * limit / max(active, 1)
	var err error
	for _, r := range runs {
		g, held := r.gateway, r.gateway.held
		if err == nil && g.arriving > 0 && held+g.arriving > share {
			held -= passed(g) // which takes a search
			if held+g.arriving > share {
				err = &fullError{"gateway_share", fmt.Sprintf(
					"the hub has little room left and keeps it for others: %s holds %d samples that wait to be scraped, this push brings %d, "+
						"and twice its even share is %d", g, held, g.arriving, share)}
			}
		}
		g.arriving = 0
	}
	return err
}

func (g *gateway) String() string {
	if g.name == "" {
		return "what belongs to no gateway"
	}
	return fmt.Sprintf("gateway %.60q", g.name)
}
