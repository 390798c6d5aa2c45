package journal

import (
	"encoding/binary"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// What an entry of a record of names is about.
const (
	ofSeries uint8 = iota + 1
	ofOwn
	ofGateway
	ofFamily
)

// Life is what a gateway's entry says of it at that time, in milliseconds since the epoch.
type Life struct {
	First int64 // time of its first sample, or 0 while it is not here
	Ended int64 // time of the newest marker of its last end, or 0
	Note  int64 // time of the newest sample that was written of First
}

// dictionary gives series the numbers by which the records of a segment name them. A number is given once in a
// segment, so that a sample whose name is damaged is nobody's, and not somebody else's.
type dictionary struct {
	local    []uint32 // by series; 0 where it has none yet
	gateways []bool   // by gateway: it has an entry
	forgot   bool     // gateways have none though their series have one
	next     uint32
}

func (d *dictionary) reset() {
	clear(d.local)
	clear(d.gateways)
	d.next, d.forgot = 0, false
}

// grow makes room for the number of a series. Some numbers come at a time.
func (d *dictionary) grow(id series.ID) {
	n := (int(id) | 1023) + 1
	d.local = append(d.local, make([]uint32, n-len(d.local))...)
}

// Define begins to add samples, of series in this order. It appends to dst those that have no entry in the segment yet: each is to get
// one, by Series or Own, before Add. Unless gateways is true, their gateways have entries.
func (j *Journal) Define(dst []series.ID, ids []series.ID) (unknown []series.ID, gateways bool) {
	d := &j.dictionary
	known := len(dst)
	j.numbers = j.numbers[:0]
	first, n := uint32(0), uint32(0)
	for len(ids) > 0 {
		id := ids[0]
		if int(id) >= len(d.local) {
			d.grow(id)
		}
		if d.local[id] == 0 {
			d.next++
			d.local[id] = d.next
			dst = append(dst, id)
		}
		if number := d.local[id]; number != first+n {
			j.numbers = appendRun(j.numbers, first, n)
			first, n = number, 0
		}
		n++
		for ids = ids[1:]; len(ids) > 0 && int(ids[0]) < len(d.local) && d.local[ids[0]] == first+n; ids = ids[1:] {
			n++ // as most do, which takes no more than that
		}
	}
	j.numbers = appendRun(j.numbers, first, n)
	return dst, len(dst) > known || d.forgot
}

// appendRun appends a run of numbers that follow each other, if there are any.
func appendRun(dst []byte, first, n uint32) []byte {
	if n == 0 {
		return dst
	}
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(first)), uint64(n))
}

// UnknownGateway says whether a gateway has no entry in the segment yet, and notes that it gets one.
func (j *Journal) UnknownGateway(gateway uint32) bool {
	d := &j.dictionary
	if int(gateway) >= len(d.gateways) {
		d.gateways = append(d.gateways, make([]bool, (int(gateway)|1023)+1-len(d.gateways))...)
	}
	was := d.gateways[gateway]
	d.gateways[gateway] = true
	return !was
}

// Forget says that the numbers of series that are not to be kept become free, and that those of gateways may.
func (j *Journal) Forget(keep []bool) {
	for id := range min(len(keep), len(j.dictionary.local)) {
		if !keep[id] {
			j.dictionary.local[id] = 0
		}
	}
	clear(j.dictionary.gateways)
	j.dictionary.forgot = true
}

// Series adds the entry of a series, with its canonical text.
func (j *Journal) Series(id series.ID, text string) {
	j.names = append(j.names, ofSeries)
	j.names = binary.AppendUvarint(j.names, uint64(j.dictionary.local[id]))
	j.names = appendBytes(j.names, text)
	j.splitNames()
}

// Own adds the entry of the series that the hub writes of a gateway.
func (j *Journal) Own(id series.ID, gateway string) {
	j.names = append(j.names, ofOwn)
	j.names = binary.AppendUvarint(j.names, uint64(j.dictionary.local[id]))
	j.names = appendBytes(j.names, gateway)
	j.splitNames()
}

// Gateway adds what is known of a gateway that has a series in the segment.
func (j *Journal) Gateway(name string, l Life) {
	j.names = append(j.names, ofGateway)
	j.names = appendBytes(j.names, name)
	for _, t := range []int64{l.First, l.Ended, l.Note} {
		j.names = binary.AppendVarint(j.names, t)
	}
	j.splitNames()
}

// Family adds what is known of a metric family.
func (j *Journal) Family(name, kind, help string) {
	j.names = append(j.names, ofFamily)
	for _, s := range []string{name, kind, help} {
		j.names = appendBytes(j.names, s)
	}
	j.splitNames()
}

// namesBytes is about how long a record of names is: a damaged one takes no more with it.
const namesBytes = 64 << 10

func (j *Journal) splitNames() {
	if len(j.names) >= namesBytes {
		j.addNames()
	}
}

// Entry is one of a record of names. Its bytes are good until the next record.
type Entry struct {
	Local   uint32 // number of a series in the segment, or 0
	Own     bool   // the hub writes it, and Name is that of the gateway
	Gateway bool   // it is of the gateway Name, and Life is set
	Family  bool   // it is of the family Name, and Kind and Help are set

	Name, Kind, Help []byte
	Life             Life
}

// entries reads the entries of a record, which has to be nothing else.
func (r *reader) entries(dst []Entry) []Entry {
	for len(r.Rest) > 0 && !r.Bad {
		var e Entry
		switch tag := r.Byte(); tag {
		case ofSeries, ofOwn:
			local := r.Uvarint()
			e.Local, e.Own = uint32(local), tag == ofOwn
			r.Bad = r.Bad || local == 0 || local > 1<<32-1
			e.Name = r.Text()
		case ofGateway:
			e.Gateway, e.Name = true, r.Text()
			e.Life = Life{First: r.Varint(), Ended: r.Varint(), Note: r.Varint()}
		case ofFamily:
			e.Family, e.Name, e.Kind, e.Help = true, r.Text(), r.Text(), r.Text()
		default:
			r.Bad = true
		}
		dst = append(dst, e)
	}
	return dst
}
