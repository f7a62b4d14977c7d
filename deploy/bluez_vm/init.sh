#!/bin/sh
# Process 1 of the guest: what BlueZ needs and no more, then the stages, then the machine is switched off.
# /payload is the second disk: this file, the project and its dependencies.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
for folder in /tmp /run /var/lib/bluetooth /root; do
    mount -t tmpfs tmpfs "$folder"
done
mkdir -p /run/dbus
dbus-uuidgen >/run/machine-id
mount --bind /run/machine-id /etc/machine-id

modprobe hci_vhci
dbus-daemon --system --nopidfile
/usr/libexec/bluetooth/bluetoothd --nodetach 2>&1 | sed -u 's/^/  /' &

export HOME=/root PYTHONPATH=/payload/site PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
python3 -m deploy.bluez_vm.stages
echo "bluez-vm: the stages ended with $?"
echo b >/proc/sysrq-trigger # with qemu's -no-reboot this ends the machine
sleep 60
