// Package cache keeps what takes time to find out between runs: entries below the
// user's cache folder, each under a name and an identity.
//
// [User] opens a cache, [Cache.Get] reads an entry, [Cache.Put] writes one.
//
// An identity is a digest of everything that the content depends on; an entry of
// another identity is never returned, nor is one that is cut short, changed,
// another user's, or open to others for writing. A checksum tells damage, not
// forgery: the folder is the user's own, and whoever can write to it can change the
// programs that the user runs, too.
//
// Entries are written to a temporary file first, which is renamed: any number of
// processes may read and write. A cache that cannot be read or written is empty, and
// no error. When the entries take more room than allowed, those that were not used
// for the longest time are removed.
package cache
