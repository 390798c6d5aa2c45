package groups

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// index is what all groups have, by family and by series, so that what one pushes is compared
// with the others without looking at each.
type index struct {
	families map[string]kinds
	series   map[uint64]struct{}
}

// kinds is the type that a family has, and how many groups have it.
type kinds struct {
	kind   dto.MetricType
	groups int
}

func (x *index) init() {
	x.families, x.series = map[string]kinds{}, map[uint64]struct{}{}
}

// replace puts families in the place of others of the same group, or says why they do not fit what
// other groups have, and what the group keeps. Then nothing has changed.
func (x *index) replace(old, by []*Family) *RefusedError {
	for _, f := range old {
		x.remove(f)
	}
	for i, f := range by {
		if err := x.add(f); err != nil {
			for _, added := range by[:i] {
				x.remove(added)
			}
			for _, f := range old {
				x.put(f)
			}
			return err
		}
	}
	return nil
}

// add adds a family that fits, all of it or nothing.
func (x *index) add(f *Family) *RefusedError {
	if k := x.families[f.Name]; k.groups > 0 && k.kind != f.Type {
		return bad(Inconsistent, "%s is a %s, and elsewhere among the groups a %s", f.Name, typeName(f.Type), typeName(k.kind))
	}
	if other, is := x.collides(f); is {
		return bad(Inconsistent, "%s, a %s, would have series of the name of %s, which is among the groups", f.Name, typeName(f.Type), other)
	}
	for i, h := range f.hashes {
		if _, twice := x.series[h]; twice {
			for _, added := range f.hashes[:i] {
				delete(x.series, added)
			}
			return bad(Duplicate, "%s has a series that is there already, in the same push or another group", f.Name)
		}
		x.series[h] = struct{}{}
	}
	k := x.families[f.Name]
	x.families[f.Name] = kinds{f.Type, k.groups + 1}
	return nil
}

// put adds a family that was there before.
func (x *index) put(f *Family) {
	for _, h := range f.hashes {
		x.series[h] = struct{}{}
	}
	k := x.families[f.Name]
	x.families[f.Name] = kinds{f.Type, k.groups + 1}
}

func (x *index) remove(f *Family) {
	for _, h := range f.hashes {
		delete(x.series, h)
	}
	k := x.families[f.Name]
	if k.groups--; k.groups == 0 {
		delete(x.families, f.Name)
		return
	}
	x.families[f.Name] = k
}

// suffixes are the ends of the names of a histogram's or summary's series.
func suffixes(t dto.MetricType) []string {
	switch t {
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		return []string{"_bucket", "_sum", "_count"}
	case dto.MetricType_SUMMARY:
		return []string{"_sum", "_count"}
	default:
		return nil
	}
}

// collides finds a family with series of which a histogram or summary has the names, or the other way
// round: the text format does not tell them apart.
func (x *index) collides(f *Family) (other string, is bool) {
	for _, suffix := range suffixes(f.Type) {
		if _, has := x.families[f.Name+suffix]; has {
			return f.Name + suffix, true
		}
	}
	for _, suffix := range suffixes(dto.MetricType_HISTOGRAM) {
		base, cut := strings.CutSuffix(f.Name, suffix)
		if !cut {
			continue
		}
		if k, has := x.families[base]; has && partOf(k.kind, suffix) {
			return base, true
		}
	}
	return "", false
}

func partOf(t dto.MetricType, suffix string) bool { return slices.Contains(suffixes(t), suffix) }
