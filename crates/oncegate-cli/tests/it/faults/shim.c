/* A disk and a clock that go wrong on command: preloaded into the proxy, before the C library.
 *
 * The test writes words into a file that is mapped here, and so turns faults on and off while the
 * proxy runs; shim.rs has the same layout. Only the store's file, its log and unlinked spool files
 * are ever struck. Nothing is changed for anybody who asks for no fault. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

typedef _Atomic int64_t word;

enum { WRITE, SYNC, READ, OPEN, OPERATIONS };
enum { FILE_ITSELF = 1, LOG = 2, SPOOL = 4 };
/* In place of an errno. */
enum { HALF = -1, FORGET = -2 };

struct fault {
    word where; /* bits of what is struck */
    word what;  /* an errno, or one of the above */
    word times; /* how often, from now on; negative: always */
    word struck;
};

static struct control {
    word clock_offset;  /* seconds that the wall clock goes ahead */
    word hang;          /* bits of what hangs in fsync until this is 0 */
    word hanging;       /* how many do */
    word unsynced_from; /* bytes of the log that no fsync has covered: from here */
    word unsynced_to;   /* to here; 0: there are none */
    word spare[3];
    struct fault faults[OPERATIONS];
} *control;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("FAULT_CONTROL");
    if (!path) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) abort();
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) abort();
    control = mapped;
}

#define REAL(name, type, ...)                                   \
    static type (*real)(__VA_ARGS__);                           \
    if (!real) {                                                \
        int before = errno;                                     \
        real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name);  \
        errno = before;                                         \
    }

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

static int kind_of_path(const char *path) {
    if (ends_with(path, "oncegate.db")) return FILE_ITSELF;
    if (ends_with(path, "oncegate.db-wal")) return LOG;
    if (ends_with(path, " (deleted)")) return SPOOL;
    return 0;
}

static int kind_of(int fd) {
    char link[40], path[4096];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return kind_of_path(path);
}

/* What goes wrong now, or 0. */
static int64_t strike(int operation, int kind) {
    struct fault *fault = &control->faults[operation];
    int64_t times = atomic_load(&fault->times);
    if (!times || !(atomic_load(&fault->where) & kind)) return 0;
    while (times > 0 && !atomic_compare_exchange_weak(&fault->times, &times, times - 1)) {}
    if (!times) return 0;
    atomic_fetch_add(&fault->struck, 1);
    return atomic_load(&fault->what);
}

static int armed(int operation) {
    return control && atomic_load(&control->faults[operation].times);
}

static void note_write(off_t from, ssize_t length) {
    if (length <= 0) return;
    if (!atomic_load(&control->unsynced_to) || from < atomic_load(&control->unsynced_from))
        atomic_store(&control->unsynced_from, from);
    if (from + length > atomic_load(&control->unsynced_to))
        atomic_store(&control->unsynced_to, from + length);
}

/* How much of a write is really done; -1: none, and errno says why. */
static ssize_t allowed(int kind, size_t length) {
    int64_t what = strike(WRITE, kind);
    if (what == HALF) return length > 1 ? length / 2 : length;
    if (what > 0) {
        errno = what;
        return -1;
    }
    return length;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write, ssize_t, int, const void *, size_t)
    int kind = control ? kind_of(fd) : 0;
    if (!kind) return real(fd, bytes, length);
    ssize_t now = allowed(kind, length);
    if (now < 0) return -1;
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = real(fd, bytes, now);
    if (kind == LOG) note_write(at, done);
    return done;
}

static ssize_t write_at(ssize_t (*real)(int, const void *, size_t, off64_t), int fd,
                        const void *bytes, size_t length, off64_t at) {
    int kind = control ? kind_of(fd) : 0;
    if (!kind) return real(fd, bytes, length, at);
    ssize_t now = allowed(kind, length);
    if (now < 0) return -1;
    ssize_t done = real(fd, bytes, now, at);
    if (kind == LOG) note_write(at, done);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    REAL(pwrite64, ssize_t, int, const void *, size_t, off64_t)
    return write_at(real, fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    REAL(pwrite64, ssize_t, int, const void *, size_t, off64_t)
    return write_at(real, fd, bytes, length, at);
}

static int fails_to_read(int fd) {
    if (!armed(READ)) return 0;
    int64_t what = strike(READ, kind_of(fd));
    if (what > 0) errno = what;
    return what > 0;
}

ssize_t read(int fd, void *bytes, size_t length) {
    REAL(read, ssize_t, int, void *, size_t)
    return fails_to_read(fd) ? -1 : real(fd, bytes, length);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at) {
    REAL(pread64, ssize_t, int, void *, size_t, off64_t)
    return fails_to_read(fd) ? -1 : real(fd, bytes, length, at);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
    REAL(pread64, ssize_t, int, void *, size_t, off64_t)
    return fails_to_read(fd) ? -1 : real(fd, bytes, length, at);
}

/* A disk that loses what it could not sync: the kernel has marked the pages clean. */
static void forget(int fd) {
    static const char zeros[4096];
    REAL(pwrite64, ssize_t, int, const void *, size_t, off64_t)
    off_t from = atomic_load(&control->unsynced_from), to = atomic_load(&control->unsynced_to);
    while (from < to) {
        size_t length = to - from < (off_t)sizeof zeros ? (size_t)(to - from) : sizeof zeros;
        if (real(fd, zeros, length, from) < 0) abort();
        from += length;
    }
}

static int sync_by(int (*real)(int), int fd) {
    int kind = control ? kind_of(fd) : 0;
    if (!kind) return real(fd);
    if (atomic_load(&control->hang) & kind) {
        atomic_fetch_add(&control->hanging, 1);
        while (atomic_load(&control->hang) & kind) usleep(500);
        atomic_fetch_sub(&control->hanging, 1);
    }
    int64_t what = strike(SYNC, kind);
    if (what == FORGET && kind == LOG) forget(fd);
    if (what) {
        errno = what > 0 ? (int)what : EIO;
        return -1;
    }
    int done = real(fd);
    if (!done && kind == LOG) {
        atomic_store(&control->unsynced_to, 0);
        atomic_store(&control->unsynced_from, 0);
    }
    return done;
}

int fsync(int fd) {
    REAL(fsync, int, int)
    return sync_by(real, fd);
}

int fdatasync(int fd) {
    REAL(fdatasync, int, int)
    return sync_by(real, fd);
}

static int fails_to_open(const char *path, int flags) {
    if (!armed(OPEN)) return 0;
    int kind = (flags & O_TMPFILE) == O_TMPFILE ? SPOOL : kind_of_path(path);
    int64_t what = strike(OPEN, kind);
    if (what > 0) errno = what;
    return what > 0;
}

#define MODE_OF(flags)                          \
    mode_t mode = 0;                            \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list more;                           \
        va_start(more, flags);                  \
        mode = va_arg(more, mode_t);            \
        va_end(more);                           \
    }

int open(const char *path, int flags, ...) {
    REAL(open64, int, const char *, int, ...)
    MODE_OF(flags)
    return fails_to_open(path, flags) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    REAL(open64, int, const char *, int, ...)
    MODE_OF(flags)
    return fails_to_open(path, flags) ? -1 : real(path, flags, mode);
}

static int is_wall_clock(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime, int, clockid_t, struct timespec *)
    int done = real(clock, now);
    if (!done && control && is_wall_clock(clock)) now->tv_sec += atomic_load(&control->clock_offset);
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    REAL(gettimeofday, int, struct timeval *, void *)
    int done = real(now, zone);
    if (!done && control) now->tv_sec += atomic_load(&control->clock_offset);
    return done;
}

time_t time(time_t *also) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (also) *also = now.tv_sec;
    return now.tv_sec;
}
