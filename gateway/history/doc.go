// Package history is the log of readings: it retains the records of the newest days
// on disk, survives a power cut at any moment, and answers queries of the past.
//
// It knows disks and records; not sockets, not the server, not the configuration.
//
// A record passes through three places. The index ([index.Index]), which is in
// memory, finds it in each of them:
//
//   - Memory has the newest records, up to an hour: unpacked for a minute, then
//     packed into blocks. Readers see a record as soon as it is appended.
//   - The journal, a ring of pages, has the same records, so that they survive. Each
//     tick, the page is staged in memory that outlives the process, or written; once a
//     second it is written and synced, and a new page begins, since a page that is
//     written when power is cut may be lost. The journal is read at the start only.
//   - Segments are files of blocks, one an hour. Once a segment is written, its
//     records are dropped from memory, and their pages may be overwritten. The oldest
//     segments are evicted when there are too many or they are too old. All are read
//     once a day to find damage.
//
// A number that is missing was either never made, because the sampler was late, or
// is lost. To distinguish these, each block has the number that was made before
// it, and each page has a number of its own.
//
// Package journal writes the pages. Package recovery reads the directory at the start, package query reads for clients.
// README.md describes the files. Package format reads and writes them, package codec
// packs the blocks in them, package disk is the directory that they are in.
package history
