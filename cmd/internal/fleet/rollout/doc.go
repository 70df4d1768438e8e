// Package rollout decides how a rollout goes on. It is a function of what is known: a record, what agents acknowledged, and
// the time. It reads no clock and speaks to no broker; package controller does, and writes what is decided here.
//
// [Begin] makes the first record of a rollout. [Judge] says how it stands, and [Next] makes the record that follows from that,
// if one does. [Promote], [Pause], [Resume] and [Abort] are what a person can do. Whoever writes a record compares and swaps,
// so that of two who decide at once one is first and the other decides again.
package rollout
