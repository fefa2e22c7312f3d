#!/bin/bash
# boot.sh STATE: becomes systemd in the machine's root, with its own /proc, /sys, /dev and /run.
set -e
state=$1 root=$1/root
read -r pid _ < /proc/self/stat # the host's /proc still: its number for us
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" || mount --rbind /sys "$root/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 groups "$root/sys/fs/cgroup"
  for kind in memory pids cpu cpuacct devices freezer; do
    mkdir -p "$root/sys/fs/cgroup/$kind"
    mount -t cgroup -o "$kind" cgroup "$root/sys/fs/cgroup/$kind" || true
  done
  mkdir -p "$root"/sys/fs/cgroup/{systemd,unified}
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
fi
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs dev "$root/dev"
for node in null zero full random urandom tty; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root"/dev/{pts,shm,mqueue}
ln -s /proc/self/fd "$root/dev/fd"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs shm "$root/dev/shm"
echo "$pid" > "$state/init.pid.new"
mv "$state/init.pid.new" "$state/init.pid"
exec chroot "$root" /usr/bin/env -i container=framedaemon-test PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
  /lib/systemd/systemd --show-status=true
