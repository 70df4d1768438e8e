// Package delta packs the difference between two sets of files, so that an edit costs what changed and not what there is.
// A snapshot is the difference to nothing: one format, one reader.
//
// It is zstd of a line of JSON (see header) and of the contents that the line lists, in its order. A file that has a longer
// predecessor in the old set may be a patch: a zstd frame with the old file as its dictionary.
//
// [Apply] trusts nothing: it bounds what it unpacks before it does, checks each path and the hash of each file. That the
// whole is what somebody signed is the caller's to check, by the revision of the result.
package delta
