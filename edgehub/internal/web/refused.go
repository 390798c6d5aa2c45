package web

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/receipt"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/trial"
)

// refused settles a response that arrived and is not stored, unless the server says that
// it did not arrive.
func (l *line) refused(ctx context.Context, resp *response) {
	s := l.s
	why, err := l.asker.Why(ctx, resp.host, resp.path)
	if err != nil {
		why = receipt.Why{}
	}
	if why.Kind == receipt.Lost {
		l.gone(resp)
		return
	}
	if !l.close(resp) {
		return
	}
	s.Counts.LetGo.Add(uint64(s.store.Log.Withdraw(resp.offer)))
	s.Counts.Unconfirmed.add(l.name, 1)
	l.mu.Lock()
	l.receipts.judged = append(l.receipts.judged, resp.number)
	if len(l.receipts.judged) > maxJudged {
		l.receipts.judged = l.receipts.judged[1:]
	}
	l.lost++
	l.mu.Unlock()
	if l.said.now() {
		said := why.Text
		if said == "" {
			said = "nothing; is its disk full?"
		}
		s.cfg.Logger.Warn("the server did not store a response; its samples come again, in smaller responses where that helps",
			"cursor", l.name, "samples", resp.tally.Passed, "server_says", said)
	}
	if resp.turn == nil {
		return // it held nothing
	}
	l.trial.Refused(resp.turn, resp.judged, causeOf(why), time.Now())
}

func causeOf(why receipt.Why) trial.Cause {
	c := trial.Cause{Reason: why.Reason, Metric: why.Metric}
	switch why.Kind {
	case receipt.Size:
		c.Kind = trial.Size
	case receipt.Content:
		c.Kind = trial.Content
	default:
	}
	return c
}

// setAside counts and names what a trial has found to be refused, and what it gives another
// try.
func (l *line) setAside(turn *trial.Turn[*samples.Cursor]) {
	s := l.s
	for _, aside := range turn.Aside {
		wanted := map[series.ID]bool{}
		for _, id := range aside.IDs {
			wanted[id] = true
		}
		v, rank := s.store.Read(aside.From, aside.Until)
		choice := arrange.Everything
		choice.Admit = func(id series.ID) arrange.Verdict {
			if wanted[id] {
				return arrange.Drop
			}
			return arrange.Leave
		}
		a := arrange.Arrange(v, rank, choice)
		s.store.Log.Drop(aside.From)
		s.passed(l.name, a.Tally, l.passedOver(a, func(series.ID) string { return aside.Reason }))
		var names []string
		gateways := map[string]bool{}
		for _, id := range aside.IDs {
			if !rank.Knows(id) {
				continue
			}
			if len(names) < 10 {
				names = append(names, rank.Text(id))
			}
			gateways[s.store.Table().GatewayName(rank.Gateway(id))] = true
		}
		s.cfg.Logger.Warn("the server refuses series, which are set aside; the others go on",
			"cursor", l.name, "series", len(aside.IDs), "gateways", keys(gateways, 10), "reason", aside.Reason,
			"samples", a.Tally.SetAside, "names", names, "again", aside.Again.Format(time.RFC3339))
	}
	if len(turn.Back) > 0 {
		s.cfg.Logger.Info("the server stores series again that it had refused", "cursor", l.name, "series", len(turn.Back))
	}
}

// passedOver is whose samples are passed over, and why.
type passedOver struct {
	reason, gateway string
	samples         int
}

func (l *line) passedOver(a *arrange.Arrangement, reason func(series.ID) string) (over []passedOver) {
	for id, n := range a.SetAside {
		over = append(over, passedOver{reason(id), l.s.store.Table().GatewayName(a.Rank.Gateway(id)), n})
	}
	return over
}

// keys returns at most so many keys of a set, in order.
func keys(set map[string]bool, most int) []string {
	all := make([]string, 0, len(set))
	for k := range set {
		all = append(all, strconv.Quote(k))
	}
	slices.Sort(all)
	return all[:min(most, len(all))]
}
