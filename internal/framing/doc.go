// Package framing is what the exporter's spool and the hub's journal have in common: records in
// segments, which are files in a directory that one process has at a time.
//
// The life of a record: AppendRecord, or Begin and Finish, put a header with checksums before it; Place
// says where it will stand; it is written to the end of a segment; after a restart a Scanner finds it there.
//
// What a record means, when a segment goes and what is to be durable when is its owner's affair.
//
// # Format
//
// Integers are little-endian, checksums CRC-32C (Castagnoli). Segments have their numbers as names, 16
// hexadecimal digits, and ".seg". One begins with 24 bytes, which mean the same in every version:
//
//	 0  8  the owner's magic
//	 8  4  version of the owner's format
//	12  8  number of the segment
//	20  4  checksum of bytes 0 to 19
//
// Records follow without a gap:
//
//	 0  1  mark: 0x5a is done; 0xa5, and whatever else may stand here, is not
//	 1  3  "rec"
//	 4  4  offset of the record in the segment
//	 8  8  number of the segment
//	16  4  length of the meta, at most MaxMetaBytes
//	20  4  length of the body, at most MaxBodyBytes
//	24  4  checksum of the meta
//	28  4  checksum of the body
//	32  4  checksum of bytes 1 to 31
//	36     meta, body
//
// A record says where it belongs, so that the next good one is found behind a stretch that makes no
// sense. The mark is a single byte that may be written over, and it is in no checksum.
package framing
