// Package history keeps the records of the newest days on disk: a log that is
// written once a second, survives a loss of power at any moment, and answers what
// was missed.
//
// It knows disks and records; not sockets, not the server, not the configuration.
//
// Three places hold records, in the order in which they grow old. All of them are
// in the index ([index.Index]) in memory, by which they are found:
//
//   - Memory: the newest ones, up to an hour, as they are for a minute and packed
//     in blocks from then on. Readers see a record as soon as it is appended.
//   - The journal, a ring of pages: the same records again, so that they survive.
//     A page is handed to the system each tick and to the disk once a second; then
//     a fresh one begins, for a page that is being written when power fails
//     may be lost. Nothing is read of it but at the start.
//   - Segments: files of blocks, written once an hour. What is in one is
//     dropped from memory and may be overwritten in the journal. The oldest ones are
//     removed when there are too many or too old. Each is read once a day, to know
//     what is damaged.
//
// A number that is missing was either never made, for the sampler was late, or is
// lost. To tell the two apart, each block names the number that was made before
// it, and each page has a number of its own.
//
// The files are described in README.md; package format reads and writes them, by
// way of blocks that package codec packs, in a directory that package disk is.
package history
