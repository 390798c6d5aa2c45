// Package journal keeps the hub's log on disk, so that what was acknowledged survives the process. It has the order
// of the log and its positions, and knows series by their numbers and the entries that it is given.
//
// The life of a sample:
//
//	Start ─► entries of what has none in the segment ─► Add, any number of pushes ─► Commit: one write, one flush ─► the log
//	                                                                                   │
//	                   restart ─► Open ─► Replay: entries, samples, cursors ─► the log     every scraper has all of a segment:
//	                                                                                       Release removes the file
//
// A segment of which something has waited for two minutes is packed meanwhile (Pack): another file takes its place, which says
// the same in a quarter of the bytes.
//
// # Promises
//
// What Commit confirmed is there after the process was killed, whatever Config.Sync says. After a loss of power there is
// what Sync says. What Commit did not confirm may be there or not: it may come again, as whoever pushed it was told to
// repeat it. Where the disk failed and the process went on, it is not there: the next segment says how much of the one before is good.
// Where a flush of what was confirmed fails, nothing more is confirmed until all of that is written anew, or all scrapers have it. Open flushes what a process that
// was killed has left; but where that one had met a flush that failed, the system may have told it alone, and a loss of power may take what it had not written anew.
//
// Cursors are written down late, at most a second after they moved, and when the journal is closed. So after a
// crash scrapers get what they had in the last second again.
//
// A segment reads on its own: it has the names of all its series. A damaged record is never handed out and takes no
// other with it. Since records have positions it is known how many samples are gone (Report); one that has no
// name because its entry is damaged is gone as well, and never somebody else's.
// What is packed is lost in larger pieces: some hundred thousand samples, a million at most.
//
// What is lost with a crash beside samples: how often gateways report, so that after a restart one has to push four times
// before it can count as silent; that series are set aside; and what is known of gateways of which nothing was pushed in the last two segments.
//
// # Format
//
// A directory has a file "lock", locked while a Journal is open, a file "cursors", and segments of records as package
// framing has them, with the magic "hubsampl" and version 3. A newer version is refused, an older one is read. A
// segment that an earlier process wrote is never appended to. Since version 2 a segment may be written over another one that nobody needs any more: then
// zeros stand behind its last record, up to a multiple of 4096 bytes and at least one, and what is behind them is the other one's. Such a file is
// called "spare" meanwhile, and a file whose header has another number than its name holds nothing. What is to take the place of a file has its
// name and ".new", and is worth nothing until it has. Integers are little-endian; uvarint and varint are those of encoding/binary,
// a string is a uvarint of its length and its bytes.
//
// Each record has a meta of 37 bytes:
//
//	 0  1  kind, and 128 more, since version 3, where values are short
//	 1  8  position: samples that were ever before it
//	 9  8  when it came, in milliseconds since the epoch
//	17  4  number of samples
//	21  8  the least time of a sample, in milliseconds since the epoch
//	29  8  the greatest
//
// and a body by its kind:
//
//	1  begins a segment: uvarints of the number of the segment before it, 0 for none, of the bytes
//	   of that which are good, and of the samples that were refused in between, whose positions are passed over; cursors
//	2  names: entries, each a byte and
//	     1  a series: uvarint of its number in the segment, from 1; string of its canonical text
//	     2  the series that the hub writes of a gateway: likewise, with the gateway's name
//	     3  a gateway: string of its name; varints of the time of its first sample, or 0 while it is not here, of its
//	        last end, and of the last sample that says the first
//	     4  a metric family: strings of its name, type and help
//	3  samples of a push: runs of uvarints of a number and a count, whose numbers follow each other; runs of a varint of the
//	   time less the one before, and a uvarint of a count; the values, 8 bytes each, or short
//	4  samples that the hub wrote when gateways came, likewise
//	5  markers of a gateway that ended: string of its name; likewise
//	6  samples of several pushes, since version 2: uvarint of the pushes, and of each a uvarint of its samples and a varint of the
//	   milliseconds that it came after the one before, the first after the record's time; a block (package block) of all
//	   samples with the series' numbers in the segment
//
// Short values come in groups of eight, and the last of as many as are left: a byte, and each value in so many bytes as it says. Up to 6 these are
// whole numbers, with their signs in zigzag; 8 are floats.
//
// Cursors are a uvarint of their number, and of each the string of its name and uvarints of the position before which its scraper has
// everything, of the number of parts, and of the position of each. The file "cursors" has the header of a segment, with the magic "hubplace"
// and the number of the segment that was begun last, and a record of that number with cursors as its body. It counts unless a newer segment
// begins with others.
//
// Where to read on: journal.go (Open, Close), write.go (Start to Commit), worn.go (files that are written over), pack.go, keep.go (Sync, Probe, Release), replay.go, record.go,
// values.go and names.go (the format), cursors.go, gaps.go (positions when samples are gone).
package journal
