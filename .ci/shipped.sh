# shipped.sh is read by the scripts that build what is shipped: packages, images and the archives of a release. The tags leave out what
# the program never does. -funcalign=16 aligns functions to 16 bytes, not 32: half a megabyte; docs/INSTALL.md says more.
tags=urfave_cli_no_docs,grpcnotrace
ldflags='-s -w -funcalign=16'
