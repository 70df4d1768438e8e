// Package watcher reports changes in a directory. Most callers need [New], [Watcher.Run], which
// sends a [Change] for every difference it finds, and [Watcher.Health].
//
// A Change is a hint. The watcher compares names, sizes and times, reads no file, and may
// report a change where there is none. It never misses one that a stat can show: every such
// difference is reported by the next scan at the latest.
//
//   - With kernel events, a file that appears whole, as by a rename, is reported within
//     milliseconds. A file written in place is reported once it has been quiet for
//     [Config.Debounce], and on Linux once no process has it open for writing: it is waited for
//     for two seconds after the last event, and for thirty at most. Where the kernel does not tell,
//     as of another user's file, it is not waited for. A continuous storm is reported every
//     [Config.MaxWait].
//   - In addition to the events, the names and stats are scanned every [Config.SafetyInterval].
//   - When events are lost, a scan runs at once. While events are refused or unavailable, scans run
//     every [Config.PollInterval], and Health gives the reason and how to raise the limit that was
//     reached. Events are used again when they are available.
//   - Root may be missing, come back, be replaced, or be a symbolic link, or a chain of links, any
//     of which may change. The watcher follows what its path means now.
//
// No stat shows a change that keeps the name, size, time, mode and inode of every file. To cover
// it, a Change with Rescan is sent every [Config.FullCheckInterval], and its receiver compares the
// contents.
//
// Events come from fsnotify: inotify on Linux, kqueue on BSD and macOS, ReadDirectoryChangesW on
// Windows. Network and FUSE file systems give no events for changes made on another machine; use
// [ModePoll] there.
package watcher
