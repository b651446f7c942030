"""Ways out, each of which says its name when it is open; in the end the names of all that were tried."""
import ctypes, errno, fcntl, json, os, platform, resource, signal, socket, sys

libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
at = json.loads(sys.argv[1])
home, secret, helper = at["home"], at["secret"], at["helper"]
memory = ctypes.create_string_buffer(4096)
tried = []
socket.setdefaulttimeout(2)


def attempt(name, way):
    """Open when it does what it should not."""
    tried.append(name)
    try:
        if way():
            print(name, flush=True)
    except (OSError, ValueError, AttributeError):
        pass


def number(x86, generic):
    return ctypes.c_long(generic if arm else x86)


def call(x86, generic, *args):
    args = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return libc.syscall(number(x86, generic), *args)


def reach(name, x86, generic, *args):
    """Open when the kernel looks at what is asked for, which is nonsense where it would do harm."""

    def way():
        done = call(x86, generic, *args)
        return done >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.EACCES, errno.ENOSYS)

    ctypes.set_errno(0)
    attempt(name, way)


def in_child(name, way):
    """For what changes the process that does it."""

    def outcome():
        child = os.fork()
        if child == 0:
            try:
                code = 0 if way() else 1
            except BaseException:
                code = 1
            os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    attempt(name, outcome)


def opened(path, flags=os.O_RDONLY):
    os.close(os.open(path, flags))
    return True


def made(path):
    with open(path, "w") as file:
        file.write("x")
    os.remove(path)
    return True


def read(path):
    with open(path, "rb") as file:
        return bool(file.read(16))


def done(value):
    return value is None or value == 0


# Files: reading.
attempt("read-secret", lambda: read(secret))
attempt("list-home", lambda: bool(os.listdir(home)))
attempt("read-shadow", lambda: read("/etc/shadow"))
attempt("read-accounts", lambda: read("/etc/passwd"))
attempt("read-host-tmp", lambda: read(at["tmp"]))
attempt("read-host-shm", lambda: read(at["shm"]))
attempt("read-by-own-root", lambda: read("/proc/self/root" + secret))
attempt("read-by-thread-root", lambda: read("/proc/thread-self/root" + secret))
attempt("read-by-descriptor", lambda: read(f"/proc/self/fd/{at['descriptor']}"))
attempt("inherited-descriptor", lambda: os.fstat(at["descriptor"]).st_size == at["descriptor_bytes"])
attempt("environment", lambda: "EDVAC_SECRET" in os.environ)


def by_symlink(target, mode):
    link = "edvac-link"
    if os.path.lexists(link):
        os.remove(link)
    os.symlink(target, link)
    try:
        with open(link, mode) as file:
            return bool(file.read(1)) if mode == "rb" else True
    finally:
        os.remove(link)


def by_hard_link():
    os.link(secret, "edvac-hard")
    try:
        return read("edvac-hard")
    finally:
        os.remove("edvac-hard")


attempt("read-by-symlink", lambda: by_symlink(secret, "rb"))
attempt("write-by-symlink", lambda: by_symlink(at["victim"], "ab"))
attempt("hard-link", by_hard_link)
attempt("watch-home", lambda: call(254, 27, libc.inotify_init1(0), home.encode(), 0x100) >= 0)

# Files: writing and changing.
attempt("append", lambda: opened(at["victim"], os.O_WRONLY | os.O_APPEND))
attempt("truncate", lambda: done(os.truncate(at["victim"], 1)))
attempt("make-in-home", lambda: made(home + "/edvac-way-out"))
attempt("make-directory", lambda: done(os.mkdir(home + "/edvac-dir")) and done(os.rmdir(home + "/edvac-dir")))
attempt("make-fifo", lambda: done(os.mkfifo(home + "/edvac-fifo")) and done(os.remove(home + "/edvac-fifo")))
attempt("make-symlink", lambda: done(os.symlink("x", home + "/edvac-sym")) and done(os.remove(home + "/edvac-sym")))
attempt("move-out", lambda: done(open("edvac-moved", "w").close()) and done(os.rename("edvac-moved", home + "/edvac-moved")))
attempt("move-in", lambda: done(os.rename(home + "/movable", "movable")) and done(os.rename("movable", home + "/movable")))
attempt("remove", lambda: done(os.remove(at["removable"])))
attempt("mode", lambda: done(os.chmod(at["victim"], 0o644)))
attempt("owner", lambda: done(os.chown(at["victim"], os.getuid(), os.getgid())))
attempt("times", lambda: done(os.utime(at["victim"])))
attempt("attribute", lambda: done(os.setxattr(at["victim"], "user.edvac", b"x")))
attempt("write-parent", lambda: made("../edvac-way-out"))
attempt("write-by-own-cwd", lambda: made("/proc/self/cwd/../edvac-way-out"))
attempt("write-system", lambda: made("/usr/edvac-way-out"))
attempt("write-root", lambda: made("/edvac-way-out"))
attempt("write-etc", lambda: made("/etc/edvac-way-out"))
attempt("write-var-tmp", lambda: made("/var/tmp/edvac-way-out"))

# Devices.
for device in ["kvm", "mem", "vsock", "loop0", "loop-control", "fuse", "net/tun", "kmsg"]:
    attempt("device-" + device, lambda: opened("/dev/" + device, os.O_RDWR | os.O_NONBLOCK))
for kind, name in [(0o20600, "character"), (0o60600, "block")]:
    attempt("make-device-" + name, lambda: done(os.mknod("edvac-device", kind, os.makedev(1, 3))) and done(os.remove("edvac-device")))

# The network.
def family(name, number, kind=socket.SOCK_DGRAM, protocol=0):
    attempt("socket-" + name, lambda: socket.socket(number, kind, protocol) is not None)


def answered(connection, address):
    connection.connect(address)
    connection.send(b"?")
    return connection.recv(1) == b"!"


family("netlink", 16)
family("packet", 17)
family("vsock", 40)
family("alg", 38, socket.SOCK_SEQPACKET)
family("raw", socket.AF_INET, socket.SOCK_RAW, 1)
family("raw6", socket.AF_INET6, socket.SOCK_RAW, 58)
attempt("tcp-to-host", lambda: answered(socket.socket(), ("127.0.0.1", at["tcp"])))
attempt("udp-to-host", lambda: answered(socket.socket(type=socket.SOCK_DGRAM), ("127.0.0.1", at["udp"])))
attempt("unix-of-host", lambda: answered(socket.socket(socket.AF_UNIX), at["unix"]))
attempt("abstract-of-host", lambda: answered(socket.socket(socket.AF_UNIX), "\0" + at["abstract"]))
attempt("interfaces", lambda: any(name != "lo" for _, name in socket.if_nameindex()))

# Other processes.
attempt("signal", lambda: done(os.kill(helper, 0)))
attempt("signal-by-descriptor", lambda: done(signal.pidfd_send_signal(os.pidfd_open(helper), 0)))
attempt("limits-of-others", lambda: call(302, 261, helper, 7, None, memory) == 0)
attempt("priority-of-others", lambda: done(os.setpriority(os.PRIO_PROCESS, helper, 5)))
attempt("processors-of-others", lambda: done(os.sched_setaffinity(helper, os.sched_getaffinity(0))))
for file in ["environ", "cmdline", "maps", "status"]:
    attempt("others-" + file, lambda: read(f"/proc/{helper}/{file}"))
attempt("others-memory", lambda: opened(f"/proc/{helper}/mem", os.O_RDWR))
attempt("others-root", lambda: bool(os.listdir(f"/proc/{helper}/root/")))
attempt("others-cwd", lambda: bool(os.readlink(f"/proc/{helper}/cwd")))
attempt("others-descriptors", lambda: bool(os.listdir(f"/proc/{helper}/fd")))
attempt("trace-other", lambda: libc.ptrace(0x4206, helper, 0, 0) == 0 and libc.ptrace(17, helper, 0, 0) is not None)
attempt("write-other", lambda: call(311, 271, helper, memory, 0, memory, 0, 0) >= 0)
in_child("be-traced", lambda: libc.ptrace(0, 0, 0, 0) == 0)
reach("process-read", 310, 270, os.getpid(), memory, 0, memory, 0, 0)
reach("process-write", 311, 271, os.getpid(), memory, 0, memory, 0, 0)
reach("process-advise", 440, 440, -1, memory, 0, 0, 0)
reach("pidfd-getfd", 438, 438, -1, 0, 0)
reach("kcmp", 312, 272, os.getpid(), os.getpid(), 0, 0, 0)
reach("migrate-pages", 256, 238, os.getpid(), 0, None, None)
reach("move-pages", 279, 239, os.getpid(), 0, None, None, None, 0)

# The kernel.
reach("io_uring", 425, 425, 4, memory)
reach("io_uring-enter", 426, 426, -1, 0, 0, 0, None, 0)
reach("userfaultfd", 323, 282, 1)
reach("keyctl", 250, 219, 0, -1, 1)
reach("add-key", 248, 217, b"user", b"edvac", b"x", 1, -1)
reach("request-key", 249, 218, b"user", b"edvac-none", None, 0)
reach("bpf", 321, 280, 0, memory, 48)
reach("perf-event", 298, 241, memory, 0, -1, -1, 0)
reach("fanotify", 300, 262, 0, 0)
reach("mount", 165, 40, b"none", b"/dev/shm", b"edvac-none", 0, None)
reach("umount", 166, 39, b"/edvac-none", 0)
reach("pivot-root", 155, 41, b"/edvac-none", b"/edvac-none")
reach("chroot", 161, 51, b"/edvac-none")
reach("fsopen", 430, 430, b"edvac-none", 0)
reach("open-tree", 428, 428, -100, b"/", 0)
reach("move-mount", 429, 429, -1, b"", -1, b"", 0)
reach("mount-setattr", 442, 442, -1, b"", 0, memory, 32)
reach("setns", 308, 268, -1, 0)
reach("open-by-handle", 304, 265, -1, None, 0)
reach("name-to-handle", 303, 264, -100, b"/edvac-none", memory, memory, 0)
reach("kexec", 246, 104, 0, 0, None, 0xFFFF)
reach("module", 175, 105, None, 0, b"")
reach("module-of-file", 313, 273, -1, b"", 0)
reach("swapon", 167, 224, b"/edvac-none", 0)
reach("swapoff", 168, 225, b"/edvac-none")
reach("clock", 227, 112, 0, None)
reach("clock-adjust", 305, 266, 0, None)
reach("reboot", 169, 142, 0, 0, 0, None)
reach("accounting", 163, 89, b"/edvac-none")
reach("syslog", 103, 116, 10, memory, 0)
reach("host-name", 170, 161, b"edvac-way-out", 13)
reach("domain-name", 171, 162, b"edvac-way-out", 13)
reach("shared-segment", 29, 194, 0, 0, 0o600)
reach("message-queue", 68, 186, 0xED7AC, 0)
reach("semaphores", 64, 190, 0xED7AC, 0, 0)
reach("posix-queue", 240, 180, b"edvac-none", 0, 0, None)
reach("anonymous-file", 319, 279, b"edvac", 0)
reach("typing", 16, 29, 0, 0x5412, memory)
reach("console", 16, 29, 0, 0x541C, memory)
reach("x32", 0x40000000 | 39, 9999)
if not arm:
    in_child("ports", lambda: call(172, 0, 3) == 0)
    in_child("port", lambda: call(173, 0, 0x80, 1, 1) == 0)
    reach("descriptor-table", 154, 9999, 0, memory, 16)
in_child("personality", lambda: call(135, 92, 0x40000) != -1)
for name, flag in [("user", 0x10000000), ("mount", 0x20000), ("net", 0x40000000), ("pid", 0x20000000), ("ipc", 0x8000000), ("cgroup", 0x2000000)]:
    in_child("namespace-" + name, lambda: libc.unshare(flag) == 0)
in_child("clone-namespace", lambda: call(56, 220, 0x10000000 | 17, None, None, None, None) >= 0)

# Becoming more than one is.
in_child("another-user", lambda: done(os.setresuid(12345, 12345, 12345)))
in_child("another-group", lambda: done(os.setgroups([12345])))


def capabilities():
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    data[0] = data[1] = 1 << 21
    return libc.capset(header, data) == 0


in_child("capabilities", capabilities)
in_child("nice", lambda: os.nice(-5) is not None)
in_child("real-time", lambda: done(os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))))
in_child("limits", lambda: done(resource.setrlimit(14, [1, 1])))
in_child("spared-by-oom", lambda: os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"-500") > 0)
attempt("core-pattern", lambda: opened("/proc/sys/kernel/core_pattern", os.O_WRONLY))
attempt("sysctl", lambda: opened("/proc/sys/vm/overcommit_memory", os.O_WRONLY))
attempt("sysrq", lambda: opened("/proc/sysrq-trigger", os.O_WRONLY))
attempt("sysfs", lambda: opened("/sys/kernel/mm/transparent_hugepage/enabled", os.O_WRONLY))
attempt("cgroup", lambda: done(os.mkdir(at["cgroup"] + "/edvac-way-out")) and done(os.rmdir(at["cgroup"] + "/edvac-way-out")))

print("tried", *tried)
