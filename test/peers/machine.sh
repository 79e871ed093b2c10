#!/bin/bash
# Boots Debian's systemd as process 1 of namespaces of its own, on a copy of the file system that is thrown
# away, and runs a script there as a service. Argument: a directory with `script`, `files/` (put over the
# copy), `packages/` (unpacked there), and the program's own tree in `tree`; `output` will be there.
# Nothing that it does is seen outside.
set -eu
scratch=$1
group=waypost-machine-$$
if [ "${2-}" != inside ]; then
  mount --make-rprivate /
  mkdir "$scratch/groups"
  mount -t cgroup2 none "$scratch/groups"
  mkdir "$scratch/groups/$group"
  trap 'find "$scratch/groups/$group" -depth -type d -exec rmdir {} +' EXIT
  status=0
  sh -c 'echo 0 >"$1/cgroup.procs"; exec unshare -mpfnuiC --kill-child bash "$2" "$3" inside' \
    sh "$scratch/groups/$group" "$0" "$scratch" || status=$?
  sleep 0.1
  exit "$status"
fi

mount -t tmpfs none "$scratch/files.mount"
mkdir "$scratch/files.mount/upper" "$scratch/files.mount/work" "$scratch/files.mount/root"
root=$scratch/files.mount/root
mount -t overlay none -o "lowerdir=/,upperdir=$scratch/files.mount/upper,workdir=$scratch/files.mount/work" "$root"
mkdir -p "$root/opt/waypost" "$root/scratch" "$root/sys" "$root/proc"
mount --bind "$(cat "$scratch/tree")" "$root/opt/waypost"
mount --bind "$scratch" "$root/scratch"
mount -t proc none "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs none "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs none "$root/dev"
while read -r name major minor; do
  mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 none "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for each in run tmp dev/shm etc/systemd/system; do
  mkdir -p "$root/$each"
  mount -t tmpfs none "$root/$each"
done
# What would reach through to the kernel that all share.
for each in systemd-sysctl systemd-modules-load systemd-udevd systemd-timesyncd systemd-logind; do
  ln -s /dev/null "$root/etc/systemd/system/$each.service"
done
: >"$root/etc/fstab"
rm -f "$root/etc/machine-id" "$root/etc/resolv.conf"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
for each in "$scratch"/packages/*.deb; do
  [ -e "$each" ] || continue
  dpkg-deb --fsys-tarfile "$each" | tar -x -C "$root" --keep-directory-symlink
done
cp -r "$scratch/files/." "$root/"
cat >"$root/etc/systemd/system/script.service" <<END
[Unit]
After=basic.target
Requires=basic.target
SuccessAction=poweroff-immediate
FailureAction=poweroff-immediate
[Service]
Type=oneshot
ExecStart=/bin/bash /scratch/script
StandardOutput=file:/scratch/output
StandardError=inherit
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
END
ip link set lo up
ip link add eth0 type veth peer name eth1
ip addr add 192.0.2.2/24 dev eth0
ip link set eth0 up
ip link set eth1 up
cd "$root"
pivot_root . .
umount -l .
exec setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog \
  env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --unit=script.service --show-status=0 --log-target=journal
