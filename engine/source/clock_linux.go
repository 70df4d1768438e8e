package source

import (
	"io/fs"
	"slices"
	"syscall"
)

// fineFileSystems are those whose files are on this machine, and whose times are the kernel's own. Those on others' machines
// have others' clocks, and some in user space have their own. The numbers are those of statfs(2). A file system that is missing
// here is still read rightly: its files are only read once more than they need to be, after an edit within two seconds.
var fineFileSystems = []int64{
	0xEF53,     // ext2, ext3, ext4
	0x58465342, // xfs
	0x9123683E, // btrfs
	0xF2F52010, // f2fs
	0x2FC12FC1, // zfs
	0x01021994, // tmpfs
	0x794C7630, // overlay
}

// FineDevice makes a Dir a [Ticking]. What another file system holds, below or behind a link, has another device.
func (d *Dir) FineDevice() uint64 {
	dir, err := d.root.Open(".")
	if err != nil {
		return 0
	}
	defer dir.Close() //nolint:errcheck // it was only looked at
	info, err := dir.Stat()
	if err != nil {
		return 0
	}
	// Asked of the open directory and not of its path, which may lead elsewhere by now: a link is how deployments
	// replace a whole directory at once.
	raw, err := dir.SyscallConn()
	if err != nil {
		return 0
	}
	// Whatever cannot be found out counts as a clock that ticks in seconds: then more is read than has to be,
	// and nothing that was edited is missed.
	fine := false
	err = raw.Control(func(fd uintptr) {
		var s syscall.Statfs_t
		fine = syscall.Fstatfs(int(fd), &s) == nil && slices.Contains(fineFileSystems, int64(s.Type)) //nolint:unconvert,gosec // its size differs
	})
	if err != nil || !fine {
		return 0
	}
	return deviceOf(info)
}

// deviceOf tells file systems apart. It is 0 for what is no file of the operating system, which no device has.
func deviceOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Dev) //nolint:unconvert // its size differs
	}
	return 0
}
