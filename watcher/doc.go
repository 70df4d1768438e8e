// Package watcher tells when something in a directory is different: [New], then [Watcher.Run],
// which sends [Change] values, and [Watcher.Health] for whoever asks how the watch is.
//
// A Change is a hint. The watcher compares names, sizes and times; it never opens a file, knows
// nothing of what is in them, and may tell of a change that was none. What it promises is the
// other direction: what is different in the directory is told, at the latest by the next poll.
//
//   - Where the kernel's events can be had they tell at once: a file that appears whole, as a
//     rename makes it, within milliseconds; one that is written in place once it has been quiet
//     for [Config.Debounce]; a storm at the latest after [Config.MaxWait].
//   - Whatever the events say, a scan of names and stats runs every [Config.SafetyInterval].
//   - When events are lost, are refused, or cannot be had at all, scans run every
//     [Config.PollInterval] instead, Health says why and how to raise the limit that was met, and
//     events are used again when they can be.
//   - Root may be missing, come back, be replaced, be a symbolic link or a chain of them that
//     changes anywhere. What its path means now is watched.
//
// A change that alters neither name, size, time, mode nor inode of any file is seen by no stat:
// for it, a Change with Rescan is sent every [Config.FullCheckInterval], so that the reader of the
// files compares their contents.
//
// Events come from fsnotify: inotify on Linux, kqueue on BSD and macOS, ReadDirectoryChangesW on
// Windows. On network and FUSE file systems changes made elsewhere cause no events; there the
// polls are the watch, which [ModePoll] makes frequent.
package watcher
