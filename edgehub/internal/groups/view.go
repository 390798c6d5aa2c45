package groups

import (
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// View is the families of all groups at a time, for a scrape. It does not change.
type View struct {
	families []gathered // by name
}

// gathered is what all groups have of a family.
type gathered struct {
	*Family // the first group's: its help is shown
	parts   []*Family
}

// View gathers what the groups have whose time is not over.
func (s *Set) View(now time.Time) *View {
	all := s.All(now)
	if len(all) == 0 {
		return &View{}
	}
	at := map[string]int{}
	v := &View{}
	add := func(f *Family) {
		i, has := at[f.Name]
		if !has {
			i = len(v.families)
			at[f.Name] = i
			v.families = append(v.families, gathered{Family: f})
		}
		v.families[i].parts = append(v.families[i].parts, f)
	}
	for _, g := range all {
		for _, f := range g.Families {
			add(f)
		}
	}
	for _, f := range timesOf(all) {
		add(f)
	}
	slices.SortFunc(v.families, func(a, b gathered) int { return strings.Compare(a.Name, b.Name) })
	return v
}

// Empty says whether there are no groups.
func (v *View) Empty() bool { return len(v.families) == 0 }

// timesOf are the families of the times at which groups were pushed to.
func timesOf(groups []*Group) []*Family {
	pushed := &Family{Name: pushTime, Help: "When a push to this group was taken last, in seconds since the epoch; 0 for never.", Type: dto.MetricType_GAUGE}
	failed := &Family{Name: failureTime, Help: "When a push to this group was refused last, in seconds since the epoch; 0 for never.", Type: dto.MetricType_GAUGE}
	for _, g := range groups {
		labels := make([]*dto.LabelPair, 0, len(g.Labels)+1)
		for _, l := range g.Labels {
			labels = append(labels, &dto.LabelPair{Name: proto.String(l.Name), Value: proto.String(l.Value)})
		}
		if _, has := g.Labels.Find(instance); !has {
			labels = append(labels, &dto.LabelPair{Name: proto.String(instance), Value: proto.String("")})
			slices.SortFunc(labels, compareLabels)
		}
		gauge := func(t time.Time) *dto.Metric {
			return &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: proto.Float64(seconds(t))}}
		}
		pushed.Metrics = append(pushed.Metrics, gauge(g.Pushed))
		failed.Metrics = append(failed.Metrics, gauge(g.Failed))
	}
	return []*Family{pushed, failed}
}

// seconds is a time since the epoch, and 0 for the zero time.
func seconds(t time.Time) float64 { return float64(nanos(t)) / 1e9 }
