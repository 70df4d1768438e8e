// Package controller moves rollouts on: it reads what a channel says and what its agents acknowledge, has package rollout
// decide, and writes the next record. It keeps nothing, so it can be ended and started at any moment, and several may run:
// the broker compares and swaps, so of two that decide at once one is first, and the other sees that.
//
// [Run] is a controller of a channel. [Order] is what a person asks for once. [Last] says when a controller was there last.
package controller
