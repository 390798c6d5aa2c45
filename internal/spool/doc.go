// Package spool keeps records in files, so that a queue whose memory is full, or
// whose process ends, has them when it comes back. What a record means is its
// owner's affair: it is two strings of bytes, a short meta that is read when the
// spool is opened, and a body that is read when it is wanted.
//
// The life of a record:
//
//	Append ─► end of the newest segment ─► Ref ─► Body, as often as wanted ─► Done ─► mark in place
//	                    │                                                               │
//	                restart ─► Open checks all ─► Recover: what is not done     all of a segment done:
//	                                                                            the file is removed
//
// # Promises
//
// A record that Append confirmed is there after the process was killed, since the
// kernel has it. A machine that loses its power may lose what was written since
// the last Sync, and may bring a record again whose Done was since then.
//
// A damaged record is never handed out, and takes no other with it: every record
// has checksums of its own and says where it belongs, so that the next one can be
// found behind a stretch that makes no sense. What could not be read is counted
// (Store.Lost) and told (Store.Damage):
//
//   - A record that ends early, as a crash in the middle of Append leaves it, or
//     whose bytes changed is lost. So is what lies between two records that can
//     be read, and counts as one record, however many there were.
//   - A file whose name is not that of a segment is passed over. One that has the
//     name, but no header and no record of a segment, is not the spool's: it stays,
//     does not count in Bytes, and is told at each Open, as a lost record.
//   - An empty segment, or one with a part of its header, holds nothing and goes.
//   - A segment of a newer version stays for that version, and counts in Bytes.
//   - A segment that the system refuses to open or read on loses what was not read. It
//     stays, at least until what was read of it is done.
//
// A record may come again, after a crash or after a Done that failed. Owners must
// be able to take that.
//
// # Room
//
// Config.MaxBytes bounds the files, and a file goes as a whole. So a record that is not done
// holds its segment, with all that is done in it: at worst each segment is held by one
// record and the spool is full with little in it. Where records are done about in
// the order they came in, some two segments are stuck, which is a quarter of the room
// with the default of Config.SegmentBytes. The newest segment stays until it is
// full, its room is needed or the spool is closed.
//
// # Format
//
// A directory has a file "lock", which is locked while a Store is open, and segments of records as package
// framing has them, with the magic "hubspool" and version 1. Numbers are in the order of Append. Of a record only
// the mark is ever written over, by Done. It is a single byte, so no crash can leave half of it. A segment that an
// earlier process wrote is never appended to.
//
// Where to read on: store.go (Open, Sync, Close), append.go, read.go (Body, Done, Recover),
// load.go (what a former run left), files.go (descriptors), internal/framing (the format).
package spool
