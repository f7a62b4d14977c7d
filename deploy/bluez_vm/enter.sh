#!/bin/sh
# The first program of the Debian image: everything that changes is on the second disk.
mount -t ext4 -o ro /dev/vdb /payload
exec /bin/sh /payload/init.sh
