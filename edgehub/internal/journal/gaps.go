package journal

// gap is a stretch of positions whose samples are gone, or were refused since the disk failed: no two samples have one position on
// disk. The log has none there, so what is behind has smaller positions in the log than on disk.
type gap struct{ at, samples uint64 }

func (j *Journal) addGapLocked(at, samples uint64) {
	if n := len(j.gaps); n > 0 && j.gaps[n-1].at+j.gaps[n-1].samples == at {
		j.gaps[n-1].samples += samples
		return
	}
	j.gaps = append(j.gaps, gap{at, samples})
}

// toLogLocked is the log's position of one on disk.
func (j *Journal) toLogLocked(disk uint64) uint64 {
	at := disk
	for _, g := range j.gaps {
		if disk > g.at {
			at -= min(disk-g.at, g.samples)
		}
	}
	return at
}

// toDiskLocked is what is to be written down of places in the log: no more than is on disk, up to end.
func (j *Journal) toDiskLocked(places []Place, end uint64) []Place {
	position := func(at uint64) uint64 {
		for _, g := range j.gaps {
			if at >= g.at {
				at += g.samples
			}
		}
		return min(at, end)
	}
	disk := make([]Place, len(places))
	for i, p := range places {
		disk[i] = Place{Scraper: p.Scraper, Floor: position(p.Floor)}
		for _, at := range p.Parts {
			disk[i].Parts = append(disk[i].Parts, position(at))
		}
	}
	return disk
}
