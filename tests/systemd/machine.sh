#!/bin/bash
# machine.sh STATE NAME: a throw-away machine over an overlay of /, whose systemd is booted again when it reboots.
# Runs in a mount namespace of its own. Nothing it writes reaches the host but the empty control groups NAME, which
# `machine.py` removes.
set -e
state=$1 name=$2
mount --make-rprivate /
mount -t tmpfs -o size=2g framedaemon-test "$state"
mkdir "$state"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$state/upper,workdir=$state/work" "$state/root"
root=$state/root
# Only what the tests enable starts, beside what systemd itself needs.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/rc?.d "$root"/etc/init.d
ln -sfn /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
for unit in getty.target systemd-timesyncd.service systemd-networkd.service networking.service systemd-logind.service \
  dbus.service dbus.socket systemd-resolved.service systemd-udevd.service systemd-udev-trigger.service \
  systemd-modules-load.service systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-pcrphase.service; do
  ln -sfn /dev/null "$root/etc/systemd/system/$unit"
done
echo framedaemon-test > "$root/etc/hostname"
: > "$root/etc/machine-id"
: > "$root/etc/fstab"
mkdir -p "$root/var/log/journal"
ln -sfn /dev/null "$root/etc/tmpfiles.d/tmp.conf" # a boot would empty /tmp, where the tests' Python may lie

for groups in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ -e "$groups/cgroup.procs" ] || continue
  mkdir -p "$groups/$name" 2> /dev/null || continue
  echo $$ > "$groups/$name/cgroup.procs" 2> /dev/null || true
done
for _ in 1 2 3 4; do
  status=0
  unshare --mount --pid --fork --kill-child --uts --ipc --cgroup "$(dirname "$0")/boot.sh" "$state" || status=$?
  [ "$status" -eq 129 ] || exit "$status" # SIGHUP: how the kernel ends a namespace whose init asked for a reboot
done
