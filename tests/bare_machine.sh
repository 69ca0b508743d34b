# Turns the namespaces that it is started in into a machine: `unshare ... sh bare_machine.sh DISK [FOLDER TARGET]...`
#
# Of the machine around it there are programs and settings, for reading; nothing else has a name in here. What is
# written lies in DISK. Each FOLDER can be read at TARGET. Ends with the machine's init, which runs a container engine.
set -eu
disk=$1
shift

read_only() { # folder, target
    mkdir -p "$2"
    mount --bind "$1" "$2"
    mount -o remount,bind,ro "$2"
}

mkdir -p "$disk/machine" "$disk/var/lib/docker" "$disk/tmp" "$disk/home"
mount -t tmpfs -o mode=755,size=16m none "$disk/machine"
cd "$disk/machine"
mkdir dev proc run sys var var/lib outside
ln -s ../run var/run
for name in bin lib lib32 lib64 libx32 sbin; do
    if [ -L "/$name" ]; then
        ln -s "$(readlink "/$name")" "$name"
    elif [ -d "/$name" ]; then
        read_only "/$name" "$name"
    fi
done
for name in usr etc; do read_only "/$name" "$name"; done
for name in var/lib/docker tmp home; do
    mkdir -p "$name"
    mount --bind "$disk/$name" "$name"
done
mount --rbind /dev dev
mount -t tmpfs none dev/shm
mount -t proc none proc
# That of this network.
mount -t sysfs none sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
while [ "$#" -gt 0 ]; do
    read_only "$1" ".$2"
    shift 2
done
pivot_root . outside
umount -l outside
rmdir outside
chmod 1777 tmp
cd /
echo '{}' >/run/dockerd.json
touch /run/bare_machine
dockerd --config-file /run/dockerd.json --bridge none --iptables=false --ip6tables=false \
    --exec-opt native.cgroupdriver=cgroupfs &
# As init it takes in processes that have lost their parent, too.
wait
